//! What the Qdrant adapter does beyond the port: opening, refusing, faults of the server.

mod faults;
mod opening;
mod volume;

use contexture_core::domain::document::DocumentDescription;
use contexture_core::fault::Fault;
use contexture_core::ports::vectors::{VectorPoint, VectorStore};

use super::{DIMS, plain, point};
use crate::support::qdrant::QdrantTestCollection;
use crate::support::{anyone, document};

const EAST: [f32; DIMS] = [1.0, 0.0, 0.0, 0.0];

/// Point number `number`: one of many, each of a document of its own.
fn one_of_many(number: usize, vector: Vec<f32>) -> VectorPoint {
    VectorPoint { vector, ..point(&format!("doc {number}"), 1, 0, EAST, &DocumentDescription::default()) }
}

/// One call of each kind, and what it says.
async fn every_call(vectors: &dyn VectorStore) -> Vec<Result<(), Fault>> {
    vec![
        vectors.upsert(vec![plain("doc", 0, EAST)]).await,
        vectors.delete(vec![plain("doc", 0, EAST).id]).await,
        vectors.search(EAST.to_vec(), None, &anyone(), 1).await.map(drop),
        vectors.ids_of(&document("doc")).await.map(drop),
        vectors.count().await.map(drop),
    ]
}

fn code(fault: &Fault) -> &str {
    match fault {
        Fault::Permanent(reason) => &reason.code,
        other => panic!("not permanent: {other:?}"),
    }
}
