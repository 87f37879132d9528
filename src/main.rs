//! The `contexture` command: wiring only.

fn main() {}
