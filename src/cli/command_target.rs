//! Where a command does its work, and the operations there.

use std::sync::Arc;

use super::drain;
use super::exit::CommandFailure;
use super::global_args::{GlobalArgs, collection_key};
use super::remote::RemoteServer;
use super::server_choice::server_side_caller;
use crate::config::ContextureConfig;
use crate::operations::messages::collection::{CollectionView, ListCollectionsRequest};
use crate::operations::messages::page::PAGE_ENTRIES_MAX;
use crate::operations::{CollectionsApi, DeadLettersApi, DocumentsApi, SourcesApi, StatusApi};
use crate::wiring::{ProcessRole, ServiceStack};
use contexture_core::domain::ids::CollectionId;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;

/// Where a command does its work.
pub(crate) enum CommandTarget {
    /// In this process, which has opened the data directory.
    Here(Box<ServiceStack>, Box<ContextureConfig>),
    /// On a server.
    Server(RemoteServer),
}

/// The operations of a command, wherever they are done.
pub(crate) struct CommandOperations {
    /// Whole collections.
    pub(crate) collections: Arc<dyn CollectionsApi>,
    /// Stored documents.
    pub(crate) documents: Arc<dyn DocumentsApi>,
    /// Documents that were given up.
    pub(crate) dead_letters: Arc<dyn DeadLettersApi>,
    /// What producers keep collections in step with.
    pub(crate) sources: Arc<dyn SourcesApi>,
    /// How the service stands.
    pub(crate) status: Arc<dyn StatusApi>,
    /// Who asks.
    pub(crate) caller: Principal,
    target: CommandTarget,
}

impl GlobalArgs {
    /// Opens the operations: on a server, or on the data directory with this role.
    pub(crate) async fn operations(&self, role: ProcessRole) -> Result<CommandOperations, CommandFailure> {
        CommandOperations::new(self.open_for(role, None).await?)
    }

    /// The same, and makes the data directory if there is none.
    pub(crate) async fn operations_or_new(
        &self,
        role: ProcessRole,
    ) -> Result<CommandOperations, CommandFailure> {
        CommandOperations::new(self.open_or_create(role).await?)
    }
}

impl CommandOperations {
    fn new(target: CommandTarget) -> Result<Self, CommandFailure> {
        Ok(match &target {
            CommandTarget::Server(server) => {
                let server = Arc::new(server.clone());
                Self {
                    collections: server.clone(),
                    documents: server.clone(),
                    dead_letters: server.clone(),
                    sources: server.clone(),
                    status: server,
                    caller: server_side_caller()?,
                    target,
                }
            }
            CommandTarget::Here(stack, config) => {
                let services = stack.operations(config)?;
                Self {
                    collections: services.collections,
                    documents: services.documents,
                    dead_letters: services.dead_letters,
                    sources: services.sources,
                    status: services.status,
                    caller: stack.principal.clone(),
                    target,
                }
            }
        })
    }

    /// The server; none where this process does the work.
    pub(crate) fn server(&self) -> Option<&RemoteServer> {
        match &self.target {
            CommandTarget::Server(server) => Some(server),
            CommandTarget::Here(..) => None,
        }
    }

    /// Waits until nothing of a collection is in flight. With a server others may submit all the time, so
    /// this is only for commands that do not know their own versions.
    pub(crate) async fn wait_until_drained(&self, collection: &str) -> Result<(), CommandFailure> {
        match &self.target {
            CommandTarget::Here(stack, _) => {
                let key = collection_key(stack, &CollectionId::new(collection)?);
                drain::wait_until_drained(stack, &key, None, |_, _, _| {}).await?;
            }
            CommandTarget::Server(server) => {
                drain::wait_until_server_drained(server, &self.caller, collection).await?;
            }
        }
        Ok(())
    }

    /// All collections of the caller by name, or the named one.
    pub(crate) async fn list_collections(&self, name: Option<&str>) -> Result<Vec<CollectionView>, Refusal> {
        list_all_collections(&*self.collections, &self.caller, name).await
    }

    /// Closes what is open.
    pub(crate) async fn close(self) {
        let Self { collections, documents, dead_letters, sources, status, caller: _, target } = self;
        // First, because they hold parts of the stack: its stores must be closed before its lock is free.
        drop((collections, documents, dead_letters, sources, status));
        if let CommandTarget::Here(stack, _) = target {
            stack.shutdown().await;
        }
    }
}

/// All collections of a caller by name, or the named one.
pub(crate) async fn list_all_collections(
    collections: &dyn CollectionsApi,
    caller: &Principal,
    name: Option<&str>,
) -> Result<Vec<CollectionView>, Refusal> {
    if let Some(name) = name {
        return Ok(vec![collections.collection(caller, name).await?]);
    }
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let limit = i64::try_from(PAGE_ENTRIES_MAX).ok();
        let request = ListCollectionsRequest { limit, cursor, ..ListCollectionsRequest::default() };
        let page = collections.list_collections(caller, request).await?;
        all.extend(page.collections);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}
