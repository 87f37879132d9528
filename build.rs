//! Compiles the protobuf schemas in process, so that no system protoc is needed.

use std::error::Error;
use std::path::PathBuf;

const SCHEMAS: [&str; 7] = [
    "contexture/v1/admin.proto",
    "contexture/v1/collection.proto",
    "contexture/v1/common.proto",
    "contexture/v1/context.proto",
    "contexture/v1/dead_letter.proto",
    "contexture/v1/ingest.proto",
    "contexture/v1/status.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=schemas");
    let mut compiler = protox::Compiler::new(["schemas"])?;
    compiler.include_imports(true).include_source_info(true).open_files(SCHEMAS)?;

    let descriptor_path = PathBuf::from(std::env::var("OUT_DIR")?).join("contexture_descriptor.bin");
    std::fs::write(descriptor_path, compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        .bytes(".contexture.v1.SubmitRequest.body")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
