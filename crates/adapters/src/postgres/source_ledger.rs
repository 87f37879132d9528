//! Sources, and the items that their runs saw.

use async_trait::async_trait;
use futures::FutureExt;

use super::PostgresLedger;
use super::source_queries::{
    begin_run, count_unsettled, finish_run, for_documents, forget_source, read_documents, read_sources,
    read_sources_of, report_sightings,
};
use contexture_core::domain::ids::{CollectionKey, DocumentId};
use contexture_core::domain::source::SourceName;
use contexture_core::fault::Fault;
use contexture_core::ports::source_ledger::{
    SettledSource, SourceDocument, SourceLedger, SourceRecord, SourceSighting,
};

#[async_trait]
impl SourceLedger for PostgresLedger {
    async fn begin_source_run(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault> {
        let now_ms = self.now_ms();
        self.database()
            .write("begin source run", (collection, source, now_ms), |(collection, source, now_ms), db| {
                begin_run(db, (collection, source), *now_ms).boxed()
            })
            .await
    }

    async fn report_sightings(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        sightings: Vec<SourceSighting>,
    ) -> Result<(), Fault> {
        self.database()
            .write(
                "report sightings",
                (collection, source, run, sightings),
                |(collection, source, run, sightings), db| {
                    report_sightings(db, (collection, source), *run, sightings).boxed()
                },
            )
            .await
    }

    async fn report_unchanged(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault> {
        self.database()
            .write(
                "report unchanged",
                (collection, source, run, documents),
                |(collection, source, run, documents), db| {
                    let sql = "UPDATE source_documents SET run = GREATEST(run, $2) \
                               WHERE source_ref = $1 AND document_id = ANY ($3)";
                    for_documents(db, sql, (collection, source), *run, documents).boxed()
                },
            )
            .await
    }

    async fn source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault> {
        self.database()
            .run(
                "source documents",
                (collection, source, after, limit),
                |(collection, source, after, limit), db| {
                    read_documents(db, (collection, source), u64::MAX, *after, *limit).boxed()
                },
            )
            .await
    }

    async fn unseen_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        after: Option<&DocumentId>,
        limit: usize,
    ) -> Result<Vec<SourceDocument>, Fault> {
        self.database()
            .run(
                "unseen source documents",
                (collection, source, run, after, limit),
                |(collection, source, run, after, limit), db| {
                    read_documents(db, (collection, source), *run, *after, *limit).boxed()
                },
            )
            .await
    }

    async fn count_unsettled(&self, collection: &CollectionKey, source: &SourceName) -> Result<u64, Fault> {
        self.database()
            // A transaction although it only reads: SET LOCAL needs one.
            .write("count unsettled", (collection, source), |(collection, source), db| {
                count_unsettled(db, (collection, source)).boxed()
            })
            .await
    }

    async fn forget_source_documents(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        documents: Vec<DocumentId>,
    ) -> Result<(), Fault> {
        self.database()
            .write(
                "forget source documents",
                (collection, source, run, documents),
                |(collection, source, run, documents), db| {
                    let sql = "DELETE FROM source_documents \
                               WHERE source_ref = $1 AND run < $2 AND document_id = ANY ($3)";
                    for_documents(db, sql, (collection, source), *run, documents).boxed()
                },
            )
            .await
    }

    async fn finish_source_run(
        &self,
        collection: &CollectionKey,
        source: &SourceName,
        run: u64,
        settled: Option<SettledSource>,
    ) -> Result<(), Fault> {
        let now_ms = self.now_ms();
        self.database()
            .write(
                "finish source run",
                (collection, source, run, settled, now_ms),
                |(collection, source, run, settled, now_ms), db| {
                    finish_run(db, (collection, source), *run, settled.as_ref(), *now_ms).boxed()
                },
            )
            .await
    }

    async fn sources(&self, collection: &CollectionKey) -> Result<Vec<SourceRecord>, Fault> {
        self.database()
            .run("sources", collection, |collection, db| read_sources(db, collection).boxed())
            .await
    }

    async fn sources_of(
        &self,
        collection: &CollectionKey,
        documents: &[DocumentId],
    ) -> Result<Vec<Option<SourceName>>, Fault> {
        self.database()
            .run("sources of documents", (collection, documents), |(collection, documents), db| {
                read_sources_of(db, collection, documents).boxed()
            })
            .await
    }

    async fn forget_source(&self, collection: &CollectionKey, source: &SourceName) -> Result<bool, Fault> {
        self.database()
            .write("forget source", (collection, source), |(collection, source), db| {
                forget_source(db, (collection, source)).boxed()
            })
            .await
    }
}
