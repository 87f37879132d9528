// Generated from schemas/openapi.json by `npm run generate`. Do not edit.

export interface paths {
    "/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a page to read the description of this API. */
        get: operations["get_docs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs/{file}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a file of the page. */
        get: operations["get_docs_file"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Tells that the server is up. */
        get: operations["get_health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns the description of this API. */
        get: operations["get_openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists your collections by name. */
        get: operations["list_collections"];
        put?: never;
        /**
         * Makes a collection.
         * @description Making one again that has the same pipeline changes nothing and answers 200, so programs may make what they
         *     need without asking before. Needs the scope `write`.
         */
        post: operations["create_collection"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a collection. */
        get: operations["get_collection"];
        put?: never;
        post?: never;
        /**
         * Deletes a collection with everything in it.
         * @description Needs the scope `admin`.
         */
        delete: operations["delete_collection"];
        options?: never;
        head?: never;
        /**
         * Changes the settings of a collection.
         * @description A value replaces, null removes, what is absent stays. Needs the scope `admin`.
         */
        patch: operations["update_collection"];
        trace?: never;
    };
    "/v1/collections/{collection}/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Compares the stores of a collection with the ledger.
         * @description Answers with the report at the end; with `Accept: text/event-stream` with events `progress`, and `report` as
         *     the last. It ends with its connection. Needs the scope `admin`.
         */
        post: operations["audit"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/context": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Returns the context for a question: cited passages that fit a budget of tokens.
         * @description Needs the scope `read`. The context never has more tokens than the budget, framing included, counted with
         *     the tokenizer named.
         */
        post: operations["assemble_context"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/documents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists documents by id.
         * @description Needs the scope `read`. Deleted documents and those that you may not read are left out.
         */
        get: operations["list_documents"];
        put?: never;
        /**
         * Stores many documents.
         * @description A JSON array is answered when all are stored. Lines of JSON are answered line by line, while others still
         *     arrive. Of a form, each file is a document: its name is the id, its type the media type; the n-th field `id`,
         *     `title`, `version`, `metadata` or `groups` (the last two as JSON) is about the n-th file.
         *
         *     Every document has a result of its own, in order; one that is refused does not keep others from being
         *     stored. Needs the scope `write`.
         */
        post: operations["submit_documents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/documents/delete": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Deletes the documents that a request selects.
         * @description At least one condition is needed, and all have to hold. Needs the scope `write`, and `read` for a filter.
         */
        post: operations["delete_documents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/documents/{document_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns a document with its versions.
         * @description The entity tag is the newest version. It does not change with the state of that version, so a caller who
         *     waits for it to be visible asks without `If-None-Match`. Needs the scope `read`.
         */
        get: operations["get_document"];
        /**
         * Stores a version of a document.
         * @description With content type `application/json` the body describes the document; with any other it is the document, and
         *     the content type is its media type. Needs the scope `write`, and `read` for a condition.
         *
         *     A condition fences the write: with `If-Match: "3"` it is stored as version 4, or not at all.
         */
        put: operations["put_document"];
        post?: never;
        /**
         * Deletes a document.
         * @description A deletion is a version, which wins over those before it. Needs the scope `write`, and `read` for a
         *     condition.
         */
        delete: operations["delete_document"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Tells what becomes of documents, as it happens.
         * @description Server-sent events `visible`, `deleted` and `dead`, each with an id to go on behind. A comment every 15
         *     seconds keeps the connection open. The stream ends when the server stops, after an event `error`. Needs the
         *     scope `read`.
         */
        get: operations["watch_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/generations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the live generations of a collection, in the order of their numbers.
         * @description Needs the scope `admin`.
         */
        get: operations["list_generations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/reindex": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the generation that is being built.
         * @description Needs the scope `admin`.
         */
        get: operations["get_reindex"];
        put?: never;
        /**
         * Begins to build a generation under another pipeline.
         * @description It is built beside the one that serves, and goes on after a restart. Needs the scope `admin`.
         */
        post: operations["start_reindex"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/reindex/activate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Lets the generation serve that was built.
         * @description The one that served before is kept up to date until it is dropped. Needs the scope `admin`.
         */
        post: operations["activate_reindex"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/reindex/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Gives up the generation that is being built.
         * @description Needs the scope `admin`.
         */
        post: operations["cancel_reindex"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/reindex/compare": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Asks two generations the same questions and compares their answers.
         * @description Answers with the report at the end; with `Accept: text/event-stream` with events `progress`, and `report` as
         *     the last. Needs the scopes `admin` and `read`.
         */
        post: operations["compare_generations"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/reindex/drop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Drops a kept generation after a time of grace, in which a rollback still brings it back.
         * @description Needs the scope `admin`.
         */
        post: operations["drop_generation"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/reindex/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Stops building for now.
         * @description Needs the scope `admin`.
         */
        post: operations["pause_reindex"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/reindex/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Goes on building, at another pace if one is given.
         * @description Needs the scope `admin`.
         */
        post: operations["resume_reindex"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/reindex/rollback": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Lets the generation serve again that served before the active one.
         * @description Needs the scope `admin`.
         */
        post: operations["rollback_reindex"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/repair": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Compares the stores of a collection with the ledger, and mends what differs.
         * @description Answers as an audit does. Needs the scope `admin`.
         */
        post: operations["repair"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ranks the chunks of a collection for a question.
         * @description Needs the scope `read`.
         */
        post: operations["search"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/sources": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the sources of a collection.
         * @description Needs one of the scopes `read`, `write` and `admin`.
         */
        get: operations["list_sources"];
        put?: never;
        post?: never;
        /**
         * Forgets a source; its documents stay.
         * @description Needs the scope `write`.
         */
        delete: operations["forget_source"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/sources/documents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists what the runs of a source saw, by id.
         * @description Needs the scope `write`.
         */
        get: operations["list_source_documents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/sources/runs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Begins a run of a source, which is made if it is new.
         * @description A run is one way through all of a folder, site or feed: report each document before you submit it and again
         *     afterwards, then finish the run. What earlier runs saw and this one did not is gone. Needs the scope `write`.
         */
        post: operations["begin_source_run"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/sources/runs/{run}/documents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Reports documents that a run saw.
         * @description Needs the scope `write`.
         */
        post: operations["report_source_documents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/collections/{collection}/sources/runs/{run}/finish": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ends a run, and deletes what is gone where `prune` says so.
         * @description Needs the scope `write`.
         */
        post: operations["finish_source_run"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/context": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Returns the context for a question from several collections, within one budget.
         * @description Needs the scope `read`. Each collection has a weight; passages name the collection they are from.
         */
        post: operations["assemble_context_of_many"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/dead-letters": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists dead letters, oldest first.
         * @description Needs the scope `admin`.
         */
        get: operations["list_dead_letters"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/dead-letters/drop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Removes dead letters from the list; the documents stay as they are.
         * @description An empty object selects all of your tenant. Needs the scope `admin`.
         */
        post: operations["drop_dead_letters"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/dead-letters/reasons": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Counts dead letters by reason and stage, most first.
         * @description Needs the scope `admin`.
         */
        get: operations["list_dead_letter_reasons"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/dead-letters/replay": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Processes dead letters again, from the beginning.
         * @description An empty object selects all of your tenant. Needs the scope `admin`.
         */
        post: operations["replay_dead_letters"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/dead-letters/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns a dead letter.
         * @description Needs the scope `admin`.
         */
        get: operations["get_dead_letter"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/pipelines": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the pipelines that a collection can be made with by name. */
        get: operations["list_pipelines"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ranks the chunks of several collections for a question.
         * @description Needs the scope `read`.
         */
        post: operations["search_many"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns how the service stands: collections, providers, and what embedding cost in 30 days.
         * @description Needs the scope `read`, `write` or `admin`.
         */
        get: operations["get_status"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns what embedding cost your tenant, by model.
         * @description Needs the scope `read`, `write` or `admin`.
         */
        get: operations["get_usage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/vector_stores/{vector_store_id}/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Searches a collection as OpenAI's clients search a vector store.
         * @description Needs the scope `read`. Several queries are asked as one question. `rewrite_query` true and other rankers
         *     than `auto` and `none` are refused.
         */
        post: operations["search_vector_store"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/whoami": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns who your credential says you are. */
        get: operations["whoami"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description A generation to activate. */
        ActivateReindexRequest: {
            /** @description Even if it cannot have some documents. */
            allow_failed?: boolean;
        };
        /** @description What an audit or a repair found and did. */
        AuditOutcomeView: components["schemas"]["AuditReportView"] & {
            /**
             * Format: int64
             * @description Findings that could not be mended.
             */
            failed: number;
            /**
             * Format: int64
             * @description Findings that were mended.
             */
            mended: number;
        };
        /** @description How far an audit or a repair is. */
        AuditProgressView: {
            /**
             * Format: int64
             * @description Documents, heads and points that were looked at.
             */
            done: number;
            /**
             * Format: int64
             * @description Findings that were mended.
             */
            mended: number;
            /**
             * Format: int64
             * @description All of them, as there were at the start.
             */
            total: number;
        };
        /** @description What an audit found. */
        AuditReportView: {
            /**
             * Format: int64
             * @description Documents that were compared.
             */
            documents: number;
            /**
             * Format: int64
             * @description Documents that are not there as they were accepted.
             */
            drift: number;
            /**
             * Format: int64
             * @description Documents of which a head, chunks or points are not there.
             */
            missing: number;
            /**
             * Format: int64
             * @description Heads and points of no version that may have them.
             */
            orphan: number;
            /**
             * Format: int64
             * @description Documents of which the index has another version than the visible one.
             */
            stale: number;
            /**
             * Format: int64
             * @description What was on the move at every look, and is left to the next audit.
             */
            unsettled: number;
        };
        /** @description What an audit found last. */
        AuditResultView: components["schemas"]["AuditReportView"] & {
            /**
             * Format: int64
             * @description When it ended.
             */
            at_ms: number;
        };
        /** @description A document that a generation cannot have. */
        BuildFailureView: {
            /** @description The document. */
            document_id: string;
            /** @description Why. */
            reason: components["schemas"]["ReasonView"];
            /**
             * Format: int64
             * @description Its version.
             */
            version: number;
        };
        /** @description How fast a generation is built. */
        BuildPaceRequest: {
            /**
             * Format: int32
             * @description Documents per second; absent: without a bound.
             */
            documents_per_second?: number | null;
            /**
             * Format: int32
             * @description Percent of what the provider of its model bears, 1 to 100; absent: 50.
             */
            provider_percent?: number | null;
        };
        /** @description Who a credential says its bearer is. */
        CallerView: {
            /** @description The groups. */
            groups: string[];
            /** @description The scopes: `read`, `write`, `admin`, `metrics`. */
            scopes: string[];
            /** @description The tenant. */
            tenant: string;
        };
        /** @description A chunk of a document. */
        ChunkView: {
            /** @description Its id, as search results have it. */
            chunk_id: string;
            /**
             * Format: int64
             * @description One past the last byte.
             */
            end_byte: number;
            /** @description Titles of the sections it stands in, outermost first. */
            heading: string[];
            /**
             * Format: int32
             * @description Its place among the document's chunks, from 0.
             */
            ordinal: number;
            /**
             * Format: int64
             * @description First byte in the normalised text.
             */
            start_byte: number;
            /** @description Its text. */
            text: string;
        };
        /** @description A place in a document. */
        CitationView: {
            /** @description Its collection, where several were asked. */
            collection?: string | null;
            /** @description The document. */
            document_id: string;
            /**
             * Format: int64
             * @description One past the last byte.
             */
            end_byte: number;
            /**
             * Format: int64
             * @description First byte in the normalised text.
             */
            start_byte: number;
            /**
             * Format: int64
             * @description The version.
             */
            version: number;
        };
        /** @description Collections by name. */
        CollectionList: {
            /** @description The collections. */
            collections: components["schemas"]["CollectionView"][];
            /** @description Where the next page begins; null at the end. */
            next_cursor?: string | null;
        };
        /** @description Settings of a collection, which can change at any time. */
        CollectionSettings: {
            /** @description The metadata key that holds a document's address. Absent: `url`. */
            url_metadata_key?: string | null;
            /**
             * @description Address of a document where its metadata has none: `{document_id}`, `{collection}`, `{title}` and
             *     `{metadata.KEY}` are replaced.
             * @example https://wiki.example/{document_id}
             */
            url_template?: string | null;
        };
        /** @description A change of a collection. */
        CollectionSettingsChange: {
            /** @description What changes: a value replaces, null removes, what is absent stays. */
            settings: components["schemas"]["SettingsPatch"];
        };
        /** @description How a collection stands. */
        CollectionStatusView: components["schemas"]["VersionCountsView"] & {
            audit?: components["schemas"]["AuditResultView"] | null;
            /** @description Its name. */
            collection: string;
        };
        /** @description A collection. */
        CollectionView: {
            audit?: components["schemas"]["AuditResultView"] | null;
            /** @description Document versions by state. */
            counts: components["schemas"]["VersionCountsView"];
            /**
             * Format: int32
             * @description The generation that serves.
             */
            generation: number;
            /** @description Its name. */
            name: string;
            /** @description The pipeline of the generation that serves, as TOML. */
            pipeline: string;
            /** @description Its settings. */
            settings: components["schemas"]["CollectionSettings"];
        };
        /** @description A collection and how much its hits count. */
        CollectionWeight: {
            /** @description Its name. */
            name: string;
            /**
             * Format: double
             * @description Above 0, at most 1000; absent: 1.
             */
            weight?: number | null;
        };
        /** @description What to ask two generations, and what to require. */
        CompareGenerationsRequest: {
            /**
             * Format: int32
             * @description Tokens of each context; absent: 2000.
             */
            budget?: number | null;
            /** @description The generation to compare with, and the one to look at; absent: the active one and the one being built. */
            generations?: number[] | null;
            /** @description What to ask, at most 10,000; absent or empty: the questions that the server kept. */
            questions?: components["schemas"]["ComparedQuestionRequest"][];
            /** @description What has to hold, such as `overlap@10>=0.8`, `ndcg_delta>=-0.01`, `p95_ratio<=1.5`; at most 64. */
            require?: string[];
            /** @description The tokenizer that counts them; absent: `cl100k_base`. */
            tokenizer?: string | null;
            /**
             * Format: int32
             * @description Documents of each ranking that are compared, 1 to 100; absent: 10.
             */
            top_k?: number | null;
        };
        /** @description How far a comparison is. */
        CompareProgressView: {
            /**
             * Format: int64
             * @description Questions that are answered.
             */
            done: number;
            /**
             * Format: int64
             * @description All questions.
             */
            total: number;
        };
        /** @description A question, and what is known of its answer. */
        ComparedQuestionRequest: {
            /** @description Its name in the report; absent: its number, from 1. */
            id?: string | null;
            /** @description Grades of relevant documents, by their ids; above 0. Absent: nobody judged. */
            relevant?: {
                [key: string]: number;
            };
            /** @description The question. */
            text: string;
        };
        /** @description A question, and how much context it may have. */
        ContextRequest: {
            /**
             * Format: int64
             * @description Tokens the context may have, framing included: 0 to 1,000,000.
             * @example 2000
             */
            budget: number;
            /** @description Several collections to search, instead of the one in the path; at most 16. */
            collections?: components["schemas"]["CollectionWeight"][];
            /** @description Whether to return a continuation. */
            continuable?: boolean;
            /** @description The continuation of the answer before: the context starts with that one, as far as it still holds. */
            continuation?: string | null;
            /**
             * Format: double
             * @description Leaves out what is less relevant than this share of the best, 0 to 1, even if there is room.
             */
            cutoff?: number | null;
            /** @description Whether to return what became of every candidate. */
            explain?: boolean;
            /**
             * @description Condition on metadata, `document`, `title` and places (`page`, `slide`, `row`, `line`), such as
             *     `lang = "en" and (year >= 2020 or not exists(draft)) and document starts_with "guides/" and page >= 10`.
             */
            filter?: string | null;
            /** @description `markdown` (default), `xml`, `json` or `plain`, or the name of a configured template. */
            format?: string | null;
            /** @description `relative` (default), `rrf` or `weighted_rrf`. */
            fusion?: string | null;
            /** @description Whether passages name the groups that may read them. */
            include_groups?: boolean;
            /** @description Read your writes: the answer has seen these versions. At most 64. */
            min_versions?: components["schemas"]["MinVersionRequest"][];
            /** @description `document` (default), `edges` or `score`. */
            order?: string | null;
            /**
             * Format: int64
             * @description Most passages of one document.
             */
            passages_per_document_max?: number | null;
            /**
             * @description The question, at most 16 KiB. It is text, never query syntax.
             * @example How many days of leave do I have?
             */
            question: string;
            /** @description Whether a cross-encoder orders the best candidates anew. Absent: where the server has one. */
            rerank?: boolean | null;
            /**
             * Format: int64
             * @description Tokens of the budget that are left for the answer.
             */
            reserve_answer?: number | null;
            /** @description Whether the question's tokens are left, too. */
            reserve_question?: boolean;
            /** @description Parts of the context, at most 16, in this order. */
            sections?: components["schemas"]["SectionRequest"][];
            /**
             * Format: int64
             * @description How long the caller waits, in ms.
             */
            timeout_ms?: number | null;
            /**
             * @description The tokenizer of the model that will read it: `cl100k_base` (default), `o200k_base`, one of the
             *     server's configuration, or the name of an OpenAI model.
             */
            tokenizer?: string | null;
            /**
             * Format: int64
             * @description Chunks to consider, 1 to 1000; absent: 100.
             */
            top_k?: number | null;
        };
        /** @description A context. */
        ContextResponse: {
            /**
             * Format: double
             * @description Proven share of the best selection's gain, 0 to 1.
             */
            bound: number;
            /**
             * Format: int64
             * @description The budget asked for.
             */
            budget: number;
            /** @description The text for the prompt. Retrieved text in it is fenced as data. */
            context: string;
            /** @description To be handed back for a context that starts with this one; only where asked for. */
            continuation?: string;
            /** @description What the answer had to do without: `DENSE`, `RERANK`, `REFILL` or `INDEX`; empty when all was well. */
            degraded: string[];
            /** @description What the context is made of, in its order. */
            passages: components["schemas"]["PassageView"][];
            prefix?: components["schemas"]["ReusedPrefixView"] | null;
            /**
             * Format: int64
             * @description Tokens of the budget that question and answer were left.
             */
            reserved?: number;
            /**
             * Format: int64
             * @description The index state that was read; grows with every commit. Of several collections the highest.
             */
            snapshot: number;
            /** @description The index state of each collection, where several were asked. */
            snapshots?: {
                [key: string]: number;
            };
            /** @description The tokenizer that counted; for a model's name, its vocabulary. */
            tokenizer: string;
            /**
             * Format: int64
             * @description Tokens of `context`; at most `budget`.
             */
            tokens: number;
            /** @description Every candidate and what became of it; only with `explain`. */
            trace?: components["schemas"]["TraceEntryView"][];
        };
        /** @description A collection to make. */
        CreateCollectionRequest: {
            /**
             * @description Its name: 1 to 64 bytes of a-z, 0-9, '_' and '-'.
             * @example handbook
             */
            name: string;
            /**
             * @description The name of a configured pipeline, or the text of a pipeline file (TOML), which needs the scope `admin`.
             *     Absent: the default.
             */
            pipeline?: string | null;
            settings?: components["schemas"]["CollectionSettings"] | null;
        };
        /** @description Dead letters to replay or to drop. */
        DeadLetterActionRequest: {
            /** @description Only this collection. */
            collection?: string | null;
            /** @description Say how many there are, and change nothing. */
            dry_run?: boolean;
            /** @description Only these numbers. */
            ids?: number[] | null;
            /** @description Only this reason's code. */
            reason?: string | null;
            /**
             * Format: int64
             * @description Only those that died at or after this time.
             */
            since_ms?: number | null;
            /** @description Only this stage: `chunk`, `embed` or `index`. */
            stage?: string | null;
        };
        /** @description Dead letters, oldest first. */
        DeadLetterPageView: {
            /** @description The letters. */
            dead_letters: components["schemas"]["DeadLetterView"][];
            /** @description Where the next page begins; null at the end. */
            next_cursor?: string | null;
        };
        /** @description Dead letters of one reason and stage. */
        DeadLetterReason: {
            /** @description The reason's code. */
            code: string;
            /**
             * Format: int64
             * @description How many.
             */
            count: number;
            /** @description The oldest of them. */
            example: components["schemas"]["DeadLetterView"];
            /** @description The stage that gave up. */
            stage: string;
        };
        /** @description Dead letters by reason and stage, most first. */
        DeadLetterReasons: {
            /** @description The reasons. */
            reasons: components["schemas"]["DeadLetterReason"][];
        };
        /** @description A document version that was given up. */
        DeadLetterView: {
            /** @description The collection. */
            collection: string;
            /**
             * Format: int64
             * @description When.
             */
            died_ms: number;
            /** @description The document. */
            document_id: string;
            /**
             * Format: int64
             * @description Its number.
             */
            id: number;
            /** @description Why. */
            reason: components["schemas"]["ReasonView"];
            /** @description The stage that gave up: `chunk`, `embed` or `index`. */
            stage: string;
            /**
             * Format: int64
             * @description The version.
             */
            version: number;
        };
        /** @description What was deleted. */
        DeleteMatchingOutcome: {
            /**
             * Format: int64
             * @description Documents whose delete was accepted.
             */
            deleted: number;
            /** @description Whether it was only counted. */
            dry_run: boolean;
            /**
             * Format: int64
             * @description Documents that the request selects.
             */
            matched: number;
        };
        /** @description Which documents to delete. At least one condition is needed, and all have to hold. */
        DeleteMatchingRequest: {
            /** @description Say how many there are, and change nothing. */
            dry_run?: boolean;
            /** @description Only documents that this condition on metadata, `document` and `title` admits. */
            filter?: string | null;
            /** @description Only these. */
            ids?: string[] | null;
            /** @description Only ids that start with this. */
            prefix?: string | null;
        };
        /** @description Documents by id, without deleted ones. */
        DocumentList: {
            /** @description The documents. */
            documents: components["schemas"]["DocumentView"][];
            /** @description Where the next page begins; null at the end. */
            next_cursor?: string | null;
        };
        /** @description How a document version ended. */
        DocumentOutcomeEvent: {
            /**
             * Format: int64
             * @description When it was told.
             */
            at_ms: number;
            /** @description The document. */
            document_id: string;
            reason?: components["schemas"]["ReasonView"] | null;
            /**
             * Format: int64
             * @description The version.
             */
            version: number;
        };
        /** @description A document version to store. */
        DocumentRequest: {
            /** @description The document's bytes in base64. */
            body_base64?: string | null;
            /** @description The groups that may read it. Absent: everyone of the tenant. Empty: nobody. */
            groups?: string[] | null;
            /**
             * @description Its name: 1 to 512 bytes of NFC, no control characters, no '..' segments. Needed where the path has none.
             * @example handbook/leave.md
             */
            id?: string | null;
            /** @description Media type, such as `text/markdown`. Absent: sniffed, and guessed from the id. */
            media_type?: string | null;
            /**
             * @description Values to filter on: at most 64 keys; a value is a string of at most 1024 bytes, a finite number, a
             *     boolean, or a list of at most 64 of these.
             */
            metadata?: Record<string, unknown> | null;
            /**
             * @description The document as text. Either this or `body_base64`.
             * @example # Leave
             *
             *     Everybody has 30 days of leave.
             */
            text?: string | null;
            /** @description Title, one line of at most 1024 bytes; part of what is embedded and cited. */
            title?: string | null;
            /**
             * Format: int64
             * @description Strictly increasing per document, from 1. Absent: the next one.
             */
            version?: number | null;
        };
        /** @description What became of one of many documents. */
        DocumentResult: components["schemas"]["ReceiptView"] | components["schemas"]["RefusedDocument"];
        /** @description What became of many documents, in their order. */
        DocumentResults: {
            /** @description One result for each document. */
            results: components["schemas"]["DocumentResult"][];
        };
        /** @description A document: its visible version, or its newest one where none is visible. */
        DocumentView: {
            /**
             * Format: int64
             * @description When the newest version was accepted.
             */
            accepted_ms: number;
            /**
             * Format: int64
             * @description Size of the newest version's body.
             */
            body_bytes: number;
            /**
             * Format: int32
             * @description Chunks of the newest version, once it is chunked.
             */
            chunk_count?: number | null;
            /** @description The chunks of the visible version, where asked for. */
            chunks?: components["schemas"]["ChunkView"][] | null;
            /** @description Whether the newest version deletes the document. */
            deleted: boolean;
            /** @description The document. */
            document_id: string;
            /** @description The groups that may read it, where asked for; null: everyone of the tenant. */
            groups?: string[] | null;
            /** @description Its declared media type. */
            media_type?: string | null;
            /** @description Its metadata: what its producer gave, and, once it is visible, what it says about itself. */
            metadata: Record<string, unknown>;
            reason?: components["schemas"]["ReasonView"] | null;
            /** @description Its source; only for callers with the scope `write`. */
            source?: string | null;
            /** @description Where the newest version is. */
            state?: ("accepted" | "chunked" | "embedded" | "visible" | "superseded" | "dead") | null;
            /** @description The normalised text of the visible version, where asked for. */
            text?: string | null;
            /** @description Its title: what its producer gave, or, once it is visible, the one that was found. */
            title?: string | null;
            /**
             * Format: int64
             * @description When its state last changed.
             */
            updated_ms: number;
            /** @description Its address: from its metadata, or from the collection's template. */
            url?: string | null;
            /**
             * Format: int64
             * @description The newest version.
             */
            version: number;
            /** @description All versions, newest first; not in lists. */
            versions?: components["schemas"]["VersionView"][];
            /**
             * Format: int64
             * @description The version that queries find.
             */
            visible_version?: number | null;
        };
        /** @description A generation to drop. */
        DropGenerationRequest: {
            /**
             * Format: int32
             * @description Its number; absent: the oldest one that is kept.
             */
            generation?: number | null;
            /**
             * Format: int64
             * @description How long a rollback stays possible, in ms.
             */
            grace_ms?: number;
        };
        /** @description What a drop did. */
        DropOutcome: {
            /**
             * Format: int64
             * @description Letters that are gone.
             */
            dropped: number;
            /** @description Whether they were only counted. */
            dry_run: boolean;
            /**
             * Format: int64
             * @description Letters that the request selects.
             */
            matched: number;
        };
        /** @description The end of a run. */
        FinishSourceRunRequest: {
            /**
             * @description What tells that the whole source has not changed, such as a hash of all ids and fingerprints; at most 256
             *     bytes. Kept for the next run if all is in step. A run may be finished once more when its versions have
             *     ended.
             */
            fingerprint?: string | null;
            /** @description Whether documents that are gone are deleted; else they are only counted. */
            prune?: boolean;
            /** @description The source. */
            source: string;
            /** @description Documents whose id begins with one of these could not be looked at, and are not gone. */
            unreadable?: string[];
            /** @description The run went only through documents whose id begins with one of these; empty: through all. */
            within?: string[];
        };
        /** @description What a finished run found gone. */
        FinishedSourceRun: {
            /**
             * Format: int64
             * @description How many of them were deleted; the deletions are accepted, and soon visible.
             */
            deleted: number;
            /** @description Some of them by id, at most 5. */
            examples: string[];
            /**
             * Format: int64
             * @description Documents that earlier runs saw, that this one did not see, and that are still there or on their way.
             */
            gone: number;
        };
        /** @description The live generations of a collection, in the order of their numbers. */
        GenerationList: {
            /** @description The generations. */
            generations: components["schemas"]["GenerationView"][];
        };
        /** @description One build of a collection, and how far it is. */
        GenerationView: {
            /** @description Whether it holds what the active generation holds. */
            caught_up: boolean;
            /**
             * Format: int64
             * @description Documents to hold, deleted ones included.
             */
            documents: number;
            /**
             * Format: double
             * @description Documents per second since it was begun, while it is being built.
             */
            documents_per_second: number;
            /**
             * Format: int64
             * @description When it is to be dropped.
             */
            drop_ms?: number | null;
            /**
             * Format: double
             * @description Until it has caught up, in seconds; absent where nobody can tell.
             */
            eta_seconds?: number | null;
            /**
             * Format: int64
             * @description Documents it cannot have.
             */
            failed: number;
            /** @description The first of those it cannot have. */
            failures: components["schemas"]["BuildFailureView"][];
            /**
             * Format: int32
             * @description Its number.
             */
            generation: number;
            /** @description Whether it is paused. */
            paused: boolean;
            /**
             * Format: int64
             * @description Documents it lacks still.
             */
            remaining: number;
            /** @description `building`, `active` or `kept`. */
            state: string;
        };
        /** @description Whether the server is up. */
        HealthView: {
            /**
             * @description `ok`
             * @example ok
             */
            status: string;
        };
        /**
         * @description A decision about a submission.
         * @enum {string}
         */
        IntakeName: "accepted" | "duplicate" | "superseded";
        /** @description A document and the version an answer must have seen. */
        MinVersionRequest: {
            /** @description The document. */
            document_id: string;
            /**
             * Format: int64
             * @description The lowest version that will do, from 1.
             */
            version: number;
        };
        /** @description What one model cost. */
        ModelUsageView: {
            /** @description The model. */
            model: string;
            /**
             * Format: int64
             * @description Calls to it.
             */
            requests: number;
            /**
             * Format: int64
             * @description Texts that got a vector.
             */
            texts: number;
            /**
             * Format: int64
             * @description Their tokens.
             */
            tokens: number;
        };
        /** @description A pipeline with a name. */
        NamedPipeline: {
            /** @description Whether a collection gets it that is made without one. */
            default: boolean;
            /** @description Its name. */
            name: string;
            /** @description Its text, TOML. */
            pipeline: string;
        };
        /** @description A request without fields. */
        NoFields: Record<string, unknown>;
        /** @description A citation and its text: a span of one document version. */
        PassageView: {
            /** @description Other places with the same text. */
            also?: components["schemas"]["CitationView"][];
            /** @description Its collection, where several were asked. */
            collection?: string | null;
            /** @description The document. */
            document_id: string;
            /**
             * Format: int64
             * @description One past the last byte.
             */
            end_byte: number;
            /**
             * Format: int64
             * @description First line in the document's source, from 1; absent where it has none, and for documents indexed before version
             *     2 of the chunker.
             */
            first_line?: number | null;
            /** @description The groups that may read it, where asked for and where it names some. */
            groups?: string[] | null;
            /** @description Titles of the sections it stands in, outermost first; the document's title where there are none. */
            heading: string;
            /**
             * Format: int64
             * @description Last line in the source.
             */
            last_line?: number | null;
            /** @description Its metadata. */
            metadata?: Record<string, unknown>;
            place?: components["schemas"]["PlaceView"] | null;
            /**
             * Format: float
             * @description Relevance; comparable within one answer.
             */
            score: number;
            /** @description The section of the request that it answers, where there are some. */
            section?: string;
            /**
             * Format: int64
             * @description One past the last byte in the source.
             */
            source_end_byte?: number | null;
            /**
             * Format: int64
             * @description First byte in the source, where that is UTF-8 text.
             */
            source_start_byte?: number | null;
            /**
             * Format: int64
             * @description First byte in the normalised text.
             */
            start_byte: number;
            /** @description The text of the span. */
            text: string;
            /** @description The document's title. */
            title?: string | null;
            /** @description Its address. */
            url?: string | null;
            /**
             * Format: int64
             * @description The version.
             */
            version: number;
        };
        /** @description The pipelines that a collection can be made with by name. */
        PipelineList: {
            /** @description The pipelines, the default one first. */
            pipelines: components["schemas"]["NamedPipeline"][];
        };
        /** @description A place in a source that has no lines. */
        PlaceView: {
            /**
             * Format: int64
             * @description The first one, from 1.
             */
            first: number;
            /**
             * Format: int64
             * @description The last one.
             */
            last: number;
            /** @description What is counted: `page`, `slide` or `row`. */
            unit: string;
        };
        /** @description The members of a problem, as they are sent. */
        ProblemDetails: {
            /** @description Stable and unique per cause. */
            code: string;
            /** @description What was wrong, in one line. */
            detail: string;
            /** @description Path of the offending field. */
            field?: string;
            /**
             * Format: int64
             * @description When to come back.
             */
            retry_after_ms?: number | null;
            /**
             * Format: int32
             * @description The status.
             */
            status: number;
            /** @description The name of the status. */
            title: string;
            /** @description `urn:contexture:error:` and the code. */
            type: string;
        };
        /** @description Why a version was given up. */
        ReasonView: {
            /** @description Stable code. */
            code: string;
            /** @description The same for a person, one line. */
            detail: string;
        };
        /** @description How a submission or a delete was decided, and how the version stands. */
        ReceiptView: {
            /** @description The document. */
            document_id: string;
            /**
             * @description `accepted`: stored. `duplicate`: the document has this content already. `superseded`: a higher version
             *     is stored already.
             */
            intake: components["schemas"]["IntakeName"];
            /** @description The version's state; `accepted` unless the call waited. */
            state: components["schemas"]["VersionStateName"];
            /**
             * Format: int64
             * @description The version it has, or the one that won over it.
             */
            version: number;
        };
        /** @description A document that was not stored. */
        RefusedDocument: {
            /** @description The document, where its id could be read. */
            document_id?: string;
            /** @description Why. */
            error: components["schemas"]["ProblemDetails"];
            /**
             * Format: int64
             * @description The line of the stream it stood on, from 1.
             */
            line?: number;
        };
        /** @description What was done to which generation. */
        ReindexDoneView: {
            /**
             * Format: int32
             * @description The generation.
             */
            generation: number;
        };
        /** @description What a replay did. */
        ReplayOutcome: {
            /** @description Whether they were only counted. */
            dry_run: boolean;
            /**
             * Format: int64
             * @description Letters that the request selects.
             */
            matched: number;
            /**
             * Format: int64
             * @description Versions that are processed again.
             */
            replayed: number;
        };
        /** @description What a run saw. Report a document before you submit it, and again with fingerprint and version afterwards. */
        ReportSourceDocumentsRequest: {
            /** @description Documents that are new, or may have changed; at most 10,000. */
            seen?: components["schemas"]["SourceSightingRequest"][];
            /** @description The source. */
            source: string;
            /** @description Documents that have the fingerprint that is known; at most 10,000. */
            unchanged?: string[];
        };
        /** @description A re-index to go on with. */
        ResumeReindexRequest: {
            pace?: components["schemas"]["BuildPaceRequest"] | null;
        };
        /** @description How much of the context before an answer starts with. */
        ReusedPrefixView: {
            /**
             * Format: int64
             * @description Number of the first passage that was not kept.
             */
            broken_at?: number | null;
            /** @description Why: `superseded`, `gone`, `filtered`, `changed`, `style`, `room` or `fence`. */
            broken_by?: string | null;
            /**
             * Format: int64
             * @description Bytes of the context that are those of the one before.
             */
            bytes: number;
            /**
             * Format: int64
             * @description Passages that were kept.
             */
            passages: number;
            /**
             * Format: int64
             * @description Tokens of them.
             */
            tokens: number;
        };
        /** @description A question to rank chunks for. */
        SearchRequest: {
            /** @description Several collections to search, instead of the one in the path; at most 16. */
            collections?: components["schemas"]["CollectionWeight"][];
            /** @description As in [`ContextRequest`]. */
            filter?: string | null;
            /** @description As in [`ContextRequest`]. */
            fusion?: string | null;
            /** @description Whether results name the groups that may read them. */
            include_groups?: boolean;
            /** @description As in [`ContextRequest`]. */
            min_versions?: components["schemas"]["MinVersionRequest"][];
            /**
             * @description The question, at most 16 KiB.
             * @example How many days of leave do I have?
             */
            question: string;
            /** @description As in [`ContextRequest`]. */
            rerank?: boolean | null;
            /**
             * Format: int64
             * @description How long the caller waits, in ms.
             */
            timeout_ms?: number | null;
            /**
             * Format: int64
             * @description Chunks to return, 1 to 1000; absent: 100.
             */
            top_k?: number | null;
        };
        /** @description Ranked chunks. */
        SearchResponse: {
            /** @description What the answer had to do without. */
            degraded: string[];
            /** @description Best first. */
            results: components["schemas"]["SearchResultView"][];
            /**
             * Format: int64
             * @description The index state that was read. Of several collections the highest.
             */
            snapshot: number;
            /** @description The index state of each collection, where several were asked. */
            snapshots?: {
                [key: string]: number;
            };
        };
        /** @description A ranked chunk. */
        SearchResultView: {
            /** @description Other places with the same text, under the same headings. */
            also?: components["schemas"]["CitationView"][];
            /** @description The chunk. */
            chunk_id: string;
            /** @description Its collection, where several were asked. */
            collection?: string | null;
            /** @description The document. */
            document_id: string;
            /**
             * Format: int64
             * @description One past the last byte.
             */
            end_byte: number;
            /**
             * Format: int64
             * @description First line in the document's source, from 1; absent where it has none, and for documents indexed before version
             *     2 of the chunker.
             */
            first_line?: number | null;
            /** @description The groups that may read it, where asked for and where it names some. */
            groups?: string[] | null;
            /** @description Titles of the sections it stands in, outermost first; the document's title where there are none. */
            heading: string;
            /**
             * Format: int64
             * @description Last line in the source.
             */
            last_line?: number | null;
            /** @description Its metadata. */
            metadata?: Record<string, unknown>;
            place?: components["schemas"]["PlaceView"] | null;
            /**
             * Format: float
             * @description Relevance; comparable within one answer.
             */
            score: number;
            /**
             * Format: int64
             * @description One past the last byte in the source.
             */
            source_end_byte?: number | null;
            /**
             * Format: int64
             * @description First byte in the source, where that is UTF-8 text.
             */
            source_start_byte?: number | null;
            /**
             * Format: int64
             * @description First byte in the normalised text.
             */
            start_byte: number;
            /** @description The chunk's text. */
            text: string;
            /** @description The document's title. */
            title?: string | null;
            /** @description Its address. */
            url?: string | null;
            /**
             * Format: int64
             * @description The version.
             */
            version: number;
        };
        /** @description A part of the context. */
        SectionRequest: {
            /** @description A filter beside the request's. */
            filter?: string | null;
            /** @description What stands above it, at most 120 bytes. */
            name: string;
            /** @description Its question, if it has its own. */
            question?: string | null;
            /**
             * Format: double
             * @description Its share of the budget, 0 to 1.
             */
            share?: number | null;
        };
        /** @description Collections, providers and usage. */
        ServiceStatus: {
            /** @description The caller's collections, by name. */
            collections: components["schemas"]["CollectionStatusView"][];
            /** @description Providers that have been called; empty for a caller without the scope `admin`. */
            providers: Record<string, unknown>[];
            /** @description What embedding cost in the last 30 days, by model. */
            usage: components["schemas"]["ModelUsageView"][];
        };
        /** @description A change of settings. */
        SettingsPatch: {
            /** @description See [`CollectionSettings::url_metadata_key`]. */
            url_metadata_key?: string | null;
            /** @description See [`CollectionSettings::url_template`]. */
            url_template?: string | null;
        };
        /** @description Documents of a source, by id. */
        SourceDocumentList: {
            /** @description The documents. */
            documents: components["schemas"]["SourceDocumentView"][];
            /** @description Where the next page begins; null at the end. */
            next_cursor?: string | null;
        };
        /** @description A document of a source, as a run saw it last. */
        SourceDocumentView: {
            /** @description Whether that version deletes the document. */
            deleted: boolean;
            /** @description The document. */
            document_id: string;
            /** @description What was reported with it; null if nothing was. */
            fingerprint?: string | null;
            /**
             * @description Whether the newest version is the one that was reported with the fingerprint, and no deletion: then
             *     nothing is to be submitted while the fingerprint is the same.
             */
            in_step: boolean;
            reason?: components["schemas"]["ReasonView"] | null;
            /**
             * Format: int64
             * @description The last run that saw it.
             */
            run: number;
            state?: components["schemas"]["VersionStateName"] | null;
            /**
             * Format: int64
             * @description The newest version of the document; null if there is none.
             */
            version?: number | null;
        };
        /** @description The sources of a collection, by name. */
        SourceList: {
            /** @description The sources. */
            sources: components["schemas"]["SourceView"][];
        };
        /** @description A run of a source. */
        SourceRunView: {
            /**
             * Format: int64
             * @description Its number, from 1.
             */
            run: number;
            /**
             * @description The fingerprint of the whole source that an earlier run ended with, if everything is still as that run left
             *     it: each document visible in the version that was reported with its fingerprint, and nothing accepted
             *     since. If the source has this fingerprint now, there is nothing to list, report or submit. Null if something
             *     is not so.
             */
            settled?: string | null;
        };
        /** @description Names a source. */
        SourceSelection: {
            /** @description Its name, 1 to 1024 bytes. */
            source: string;
        };
        /** @description A document that a run saw. */
        SourceSightingRequest: {
            /** @description The document. */
            document_id: string;
            /**
             * @description What tells that it has not changed, such as size and time or an entity tag; at most 256 bytes. Absent
             *     before the document is submitted.
             */
            fingerprint?: string | null;
            /**
             * Format: int64
             * @description The version that its submission got.
             */
            version?: number | null;
        };
        /** @description A source of a collection: a folder, a site, a feed. */
        SourceView: {
            /**
             * Format: int64
             * @description When its last run began.
             */
            begun_ms: number;
            /**
             * Format: int64
             * @description Documents that it has, gone ones included until they are deleted.
             */
            documents: number;
            /**
             * Format: int64
             * @description When a run ended last; null if none did.
             */
            finished_ms?: number | null;
            /**
             * Format: int64
             * @description The number of the last run that ended; 0 if none did.
             */
            finished_run: number;
            /** @description Its name; of a folder its absolute path. */
            name: string;
            /**
             * Format: int64
             * @description The number of its last run, from 1.
             */
            run: number;
        };
        /** @description A re-index to begin. */
        StartReindexRequest: {
            pace?: components["schemas"]["BuildPaceRequest"] | null;
            /** @description The other pipeline: the name of a configured one, or the text of a pipeline file (TOML). */
            pipeline: string;
        };
        /** @description What became of one candidate. */
        TraceEntryView: (components["schemas"]["CitationView"] | null) & {
            /** @description The candidate chunk. */
            chunk_id: string;
            /**
             * Format: double
             * @description What it adds to the objective.
             */
            gain: number;
            /**
             * Format: int64
             * @description Bytes of it that are in the context.
             */
            kept_bytes: number;
            /** @description The chunk that stands for it, if it is a duplicate. */
            of?: string | null;
            /**
             * Format: int64
             * @description Number of the passage it is in, from 1, if it was kept or merged.
             */
            passage?: number | null;
            /** @description Why it was kept or dropped, such as `kept`, `duplicate_of`, `over_budget`. */
            reason: string;
            /**
             * Format: float
             * @description Its score as it came.
             */
            score: number;
            /**
             * Format: int64
             * @description Tokens it adds to the context.
             */
            tokens: number;
        };
        /** @description What embedding cost the tenant. */
        UsageReport: {
            /**
             * Format: int64
             * @description Days that are counted, today included.
             */
            days: number;
            /** @description By model. */
            usage: components["schemas"]["ModelUsageView"][];
        };
        /** @description A comparison of an attribute, or several of them joined. */
        VectorStoreFilter: {
            key: string;
            /** @enum {string} */
            type: "eq" | "ne";
            value: string | number | boolean;
        } | {
            key: string;
            /** @enum {string} */
            type: "gt" | "gte" | "lt" | "lte";
            value: number;
        } | {
            key: string;
            /** @enum {string} */
            type: "starts_with";
            value: string;
        } | {
            key: string;
            /** @enum {string} */
            type: "in" | "nin";
            value: (string | number | boolean)[];
        } | {
            filters: components["schemas"]["VectorStoreFilter"][];
            /** @enum {string} */
            type: "and" | "or";
        };
        /** @description One query or several. */
        VectorStoreQuery: string | string[];
        /** @description How to rank. */
        VectorStoreRanking: {
            /** @description `auto`: the reranker, where the server has one. `none`: without it. */
            ranker?: string | null;
            /**
             * Format: double
             * @description The lowest score that is returned, 0 to 1.
             */
            score_threshold?: number | null;
        };
        /** @description A chunk of a document. */
        VectorStoreResult: {
            /** @description The document's metadata, and the version and the span of the text. */
            attributes: Record<string, unknown>;
            /** @description The text of the chunk. */
            content: components["schemas"]["VectorStoreText"][];
            /** @description The document's id. */
            file_id: string;
            /** @description The last part of the id. */
            filename: string;
            /**
             * Format: double
             * @description Relevance, 0 to 1.
             */
            score: number;
        };
        /** @description A page of results; there is one. */
        VectorStoreResultPage: {
            /** @description Best first. */
            data: components["schemas"]["VectorStoreResult"][];
            /** @description Always false. */
            has_more: boolean;
            /** @description Always null. */
            next_page?: string | null;
            /** @description `vector_store.search_results.page` */
            object: string;
            /** @description The queries, as they were asked. */
            search_query: string[];
        };
        /** @description A search. */
        VectorStoreSearchRequest: {
            filters?: components["schemas"]["VectorStoreFilter"] | null;
            /**
             * Format: int64
             * @description Most results, 1 to 50; absent: 10.
             */
            max_num_results?: number | null;
            /** @description One query, or several that are asked as one question. */
            query: components["schemas"]["VectorStoreQuery"];
            ranking_options?: components["schemas"]["VectorStoreRanking"] | null;
            /** @description Must be false: queries are asked as they are. */
            rewrite_query?: boolean | null;
        };
        /** @description A text. */
        VectorStoreText: {
            /** @description The text. */
            text: string;
            /** @description `text` */
            type: string;
        };
        /**
         * @description Document versions of a collection by state. At all times
         *     `accepted = in_flight + visible + superseded + dead`.
         */
        VersionCountsView: {
            /**
             * Format: int64
             * @description Every version ever accepted.
             */
            accepted: number;
            /**
             * Format: int64
             * @description Given up.
             */
            dead: number;
            /**
             * Format: int64
             * @description Documents that queries find.
             */
            documents: number;
            /**
             * Format: int64
             * @description Not ended yet.
             */
            in_flight: number;
            /**
             * Format: int64
             * @description Lost to a newer version.
             */
            superseded: number;
            /**
             * Format: int64
             * @description Found by queries; at most one of each document.
             */
            visible: number;
        };
        /**
         * @description Where a version is.
         * @enum {string}
         */
        VersionStateName: "accepted" | "chunked" | "embedded" | "visible" | "superseded" | "dead";
        /** @description One version of a document. */
        VersionView: {
            /**
             * Format: int64
             * @description When it was accepted.
             */
            accepted_ms: number;
            /**
             * Format: int64
             * @description Size of its body.
             */
            body_bytes: number;
            /**
             * Format: int32
             * @description Chunks, once it is chunked.
             */
            chunk_count?: number | null;
            /** @description BLAKE3 fingerprint of body and description, in hexadecimal. */
            content_hash: string;
            /** @description Whether it deletes the document. */
            deletes: boolean;
            reason?: components["schemas"]["ReasonView"] | null;
            /** @description Where it is. */
            state: components["schemas"]["VersionStateName"];
            /**
             * Format: int64
             * @description When its state last changed.
             */
            updated_ms: number;
            /**
             * Format: int64
             * @description The version.
             */
            version: number;
        };
    };
    responses: {
        /** @description The request is malformed; code and field say how. */
        BadRequest: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description It contradicts what is stored. */
        Conflict: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description The body is larger than the server takes. */
        ContentTooLarge: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description The document was given up while the call waited for it; detail says why. */
        DocumentDied: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description The credential lacks a scope, which detail names. */
        Forbidden: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description Path and headers are larger than the server takes. */
        HeadersTooLarge: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description A defect of the server; its log says more. */
        InternalServerError: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description The path does not take this method. */
        MethodNotAllowed: {
            headers: {
                /** @description The methods that the path takes. */
                Allow?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description Unknown, or not yours to know. */
        NotFound: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description A condition of the request does not hold, or not yet. */
        PreconditionFailed: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description The deadline passed; the outcome is unknown. */
        RequestTimeout: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description A backend is away, or the server stops. */
        ServiceUnavailable: {
            headers: {
                /** @description When to come back, in seconds, where the server knows. */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description No room now; nothing was accepted. */
        TooManyRequests: {
            headers: {
                /** @description When to come back, in seconds, where the server knows. */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description No credential, or not a valid one. */
        Unauthorized: {
            headers: {
                /** @description `Bearer` */
                "WWW-Authenticate"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
        /** @description The body is of a type that this does not take. */
        UnsupportedMediaType: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["ProblemDetails"];
            };
        };
    };
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    get_docs: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": string;
                };
            };
        };
    };
    get_docs_file: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Its name.
                 * @example swagger-ui.css
                 */
                file: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/css": string;
                    "text/javascript": string;
                    "image/png": string;
                };
            };
            /** @description The page has no such file. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["ProblemDetails"];
                };
            };
        };
    };
    get_health: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HealthView"];
                };
            };
        };
    };
    get_openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description An OpenAPI 3.1 document. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, unknown>;
                };
            };
        };
    };
    list_collections: {
        parameters: {
            query?: {
                /** @description Only names that start with this. */
                prefix?: string;
                /** @description Most entries, 1 to 1000; absent: 100. */
                limit?: number;
                /** @description Where the page before ended: its `next_cursor`. */
                cursor?: string;
            };
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of collections. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CollectionList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    create_collection: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateCollectionRequest"];
            };
        };
        responses: {
            /** @description It exists, with this pipeline. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CollectionView"];
                };
            };
            /** @description The collection is new. */
            201: {
                headers: {
                    /** @description Where it is. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CollectionView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    get_collection: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The collection. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CollectionView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    delete_collection: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    update_collection: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CollectionSettingsChange"];
            };
        };
        responses: {
            /** @description The collection after the change. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CollectionView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    audit: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["NoFields"] | null;
            };
        };
        responses: {
            /** @description What was found. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditOutcomeView"];
                    "text/event-stream": components["schemas"]["AuditProgressView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    assemble_context: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ContextRequest"];
            };
        };
        responses: {
            /** @description The context. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ContextResponse"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    list_documents: {
        parameters: {
            query?: {
                /** @description Only ids that start with this. */
                prefix?: string;
                /** @description Only documents that this condition on metadata, `document` and `title` admits, such as `lang = "en"`. */
                filter?: string;
                /** @description Only documents whose newest version is in this state. */
                state?: "accepted" | "chunked" | "embedded" | "visible" | "superseded" | "dead";
                /** @description Most entries, 1 to 1000; absent: 100. */
                limit?: number;
                /** @description Where the page before ended: its `next_cursor`. */
                cursor?: string;
            };
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of documents. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DocumentList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    submit_documents: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        /** @description The documents, each with its id. */
        requestBody: {
            content: {
                "application/json": components["schemas"]["DocumentRequest"][];
                "application/x-ndjson": components["schemas"]["DocumentRequest"];
                "multipart/form-data": Record<string, unknown>;
            };
        };
        responses: {
            /** @description A result for each document. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DocumentResults"];
                    "application/x-ndjson": components["schemas"]["DocumentResult"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    delete_documents: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DeleteMatchingRequest"];
            };
        };
        responses: {
            /** @description How many were selected and deleted. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeleteMatchingOutcome"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    get_document: {
        parameters: {
            query?: {
                /**
                 * @description `chunks`, `text` and `groups`, with commas between.
                 * @example chunks,groups
                 */
                include?: string;
            };
            header?: {
                /** @description The version that you have, in quotes. */
                "If-None-Match"?: string;
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
                /**
                 * @description The document's id, percent-encoded; its slashes may stay as they are.
                 * @example handbook/leave.md
                 */
                document_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document. */
            200: {
                headers: {
                    /** @description Its newest version in quotes. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DocumentView"];
                };
            };
            /** @description The newest version is the one that you have. */
            304: {
                headers: {
                    /** @description Its newest version in quotes. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    put_document: {
        parameters: {
            query?: {
                /** @description The title of a body that is the document itself. */
                title?: string;
                /** @description The version of a body that is the document itself; absent: the next one. */
                version?: number;
                /** @description `visible`: answer when queries find the document. */
                wait?: "visible";
                /** @description Longest wait, in ms; the call's deadline bounds it, too. */
                timeout_ms?: number;
            };
            header?: {
                /**
                 * @description The version that must be the newest, in quotes; several with commas between; or *, if there must be any.
                 * @example "3"
                 */
                "If-Match"?: string;
                /** @description *, if the document must not exist. */
                "If-None-Match"?: string;
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
                /**
                 * @description The document's id, percent-encoded; its slashes may stay as they are.
                 * @example handbook/leave.md
                 */
                document_id: string;
            };
            cookie?: never;
        };
        /** @description The document. */
        requestBody: {
            content: {
                "application/json": components["schemas"]["DocumentRequest"];
                "application/octet-stream": number[];
                "text/html": string;
                "text/markdown": string;
                "text/plain": string;
            };
        };
        responses: {
            /** @description With wait=visible: the version has ended, as its state says. */
            200: {
                headers: {
                    /** @description Its version in quotes. */
                    ETag?: string;
                    /** @description Where the document is. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReceiptView"];
                };
            };
            /** @description It is stored and will be processed. */
            202: {
                headers: {
                    /** @description Its version in quotes. */
                    ETag?: string;
                    /** @description Where the document is. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReceiptView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["DocumentDied"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    delete_document: {
        parameters: {
            query?: {
                /** @description The version of the deletion; absent: the next one. */
                version?: number;
                /** @description `visible`: answer when queries find the document no more. */
                wait?: "visible";
                /** @description Longest wait, in ms; the call's deadline bounds it, too. */
                timeout_ms?: number;
            };
            header?: {
                /** @description The version that must be the newest, in quotes. */
                "If-Match"?: string;
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
                /**
                 * @description The document's id, percent-encoded; its slashes may stay as they are.
                 * @example handbook/leave.md
                 */
                document_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description With wait=visible: the deletion has ended, as its state says. */
            200: {
                headers: {
                    /** @description The version of the deletion in quotes. */
                    ETag?: string;
                    /** @description Where the document is. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReceiptView"];
                };
            };
            /** @description The deletion is stored. */
            202: {
                headers: {
                    /** @description The version of the deletion in quotes. */
                    ETag?: string;
                    /** @description Where the document is. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReceiptView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            412: components["responses"]["PreconditionFailed"];
            422: components["responses"]["DocumentDied"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    watch_events: {
        parameters: {
            query?: {
                /** @description The id of the last event that you have; absent: from now on. */
                after?: string;
            };
            header?: {
                /** @description As `after`, which it outdoes: browsers send it when they connect again. */
                "Last-Event-ID"?: string;
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Events; the data of each is a JSON object. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["DocumentOutcomeEvent"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    list_generations: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The generations. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GenerationList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    get_reindex: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description How it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GenerationView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    start_reindex: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["StartReindexRequest"];
            };
        };
        responses: {
            /** @description It is being built. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GenerationView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    activate_reindex: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["ActivateReindexRequest"] | null;
            };
        };
        responses: {
            /** @description Which serves now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReindexDoneView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    cancel_reindex: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["NoFields"] | null;
            };
        };
        responses: {
            /** @description Which was given up. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReindexDoneView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    compare_generations: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["CompareGenerationsRequest"] | null;
            };
        };
        responses: {
            /** @description The report, as `reindex compare --json` prints it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, unknown>;
                    "text/event-stream": components["schemas"]["CompareProgressView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    drop_generation: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["DropGenerationRequest"] | null;
            };
        };
        responses: {
            /** @description Which will be dropped. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReindexDoneView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    pause_reindex: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["NoFields"] | null;
            };
        };
        responses: {
            /** @description How it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GenerationView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    resume_reindex: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["ResumeReindexRequest"] | null;
            };
        };
        responses: {
            /** @description How it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GenerationView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    rollback_reindex: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["NoFields"] | null;
            };
        };
        responses: {
            /** @description Which serves now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReindexDoneView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    repair: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["NoFields"] | null;
            };
        };
        responses: {
            /** @description What was found and mended. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditOutcomeView"];
                    "text/event-stream": components["schemas"]["AuditProgressView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    search: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SearchRequest"];
            };
        };
        responses: {
            /** @description Chunks, best first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SearchResponse"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    list_sources: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sources, by name. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SourceList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    forget_source: {
        parameters: {
            query: {
                /** @description Its name, 1 to 1024 bytes. */
                source: string;
            };
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is forgotten. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    list_source_documents: {
        parameters: {
            query: {
                /** @description The source. */
                source: string;
                /** @description Most entries, 1 to 1000; absent: 100. */
                limit?: number;
                /** @description Where the page before ended: its `next_cursor`. */
                cursor?: string;
            };
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of documents. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SourceDocumentList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    begin_source_run: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                collection: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SourceSelection"];
            };
        };
        responses: {
            /** @description The run. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SourceRunView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    report_source_documents: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /** @description The collection. */
                collection: string;
                /** @description The run's number. */
                run: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReportSourceDocumentsRequest"];
            };
        };
        responses: {
            /** @description They are recorded. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    finish_source_run: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /** @description The collection. */
                collection: string;
                /** @description The run's number. */
                run: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["FinishSourceRunRequest"];
            };
        };
        responses: {
            /** @description What is gone. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FinishedSourceRun"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    assemble_context_of_many: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ContextRequest"];
            };
        };
        responses: {
            /** @description The context. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ContextResponse"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    list_dead_letters: {
        parameters: {
            query?: {
                /** @description Only this collection. */
                collection?: string;
                /** @description Only this reason's code. */
                reason?: string;
                /** @description Only this stage: `chunk`, `embed` or `index`. */
                stage?: string;
                /** @description Only those that died at or after this time. */
                since_ms?: number;
                /** @description Most entries, 1 to 1000; absent: 100. */
                limit?: number;
                /** @description Where the page before ended: its `next_cursor`. */
                cursor?: string;
            };
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of dead letters. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeadLetterPageView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    drop_dead_letters: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DeadLetterActionRequest"];
            };
        };
        responses: {
            /** @description How many were selected and dropped. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DropOutcome"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    list_dead_letter_reasons: {
        parameters: {
            query?: {
                /** @description Only this collection. */
                collection?: string;
                /** @description Only this reason's code. */
                reason?: string;
                /** @description Only this stage: `chunk`, `embed` or `index`. */
                stage?: string;
                /** @description Only those that died at or after this time. */
                since_ms?: number;
            };
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The reasons. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeadLetterReasons"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    replay_dead_letters: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DeadLetterActionRequest"];
            };
        };
        responses: {
            /** @description How many were selected and replayed. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReplayOutcome"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    get_dead_letter: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /** @description The letter's number. */
                id: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The dead letter. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeadLetterView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    list_pipelines: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The default one first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PipelineList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    search_many: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SearchRequest"];
            };
        };
        responses: {
            /** @description Chunks, best first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SearchResponse"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    get_status: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description How it stands. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ServiceStatus"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    get_usage: {
        parameters: {
            query?: {
                /** @description Days to count, today included; absent: 30. */
                days?: number;
            };
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What it cost. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UsageReport"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    search_vector_store: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path: {
                /**
                 * @description The collection's name.
                 * @example handbook
                 */
                vector_store_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["VectorStoreSearchRequest"];
            };
        };
        responses: {
            /** @description Chunks, best first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["VectorStoreResultPage"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["ContentTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
    whoami: {
        parameters: {
            query?: never;
            header?: {
                /** @description How long you wait for the answer, in ms. */
                "x-timeout-ms"?: number;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Tenant, groups and scopes. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CallerView"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalServerError"];
            503: components["responses"]["ServiceUnavailable"];
        };
    };
}
