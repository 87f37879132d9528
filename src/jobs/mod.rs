//! Work on whole collections, beside the traffic: compare the stores with the record, and mend them.

pub mod audit;
pub mod repair;
