use std::fs;
use std::path::{Path, PathBuf};

use super::{ScanOptions, scan_paths};
use crate::cli::scratch::ScratchDirectory;

fn write(root: &Path, name: &str) -> PathBuf {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(&path, name).expect("a file");
    path
}

fn ids(paths: &[PathBuf]) -> Vec<String> {
    let scan = scan_paths(paths, &ScanOptions::default()).expect("a scan");
    scan.files.iter().map(|file| file.id.as_str().to_owned()).collect()
}

#[test]
fn folders_are_walked_in_order_without_hidden_files() {
    let scratch = ScratchDirectory::new("scan").expect("scratch");
    for name in ["b.md", "a/z.md", "a/b/c.md", ".git/config", "a/.hidden", "a.md"] {
        write(scratch.path(), name);
    }
    let found = scan_paths(&[scratch.path().to_owned()], &ScanOptions::default()).expect("a scan");
    let names: Vec<&str> = found.files.iter().map(|file| file.id.as_str()).collect();
    assert_eq!(names, ["a/b/c.md", "a/z.md", "a.md", "b.md"]);
    assert_eq!(found.skips.total(), 2);
}

#[test]
fn a_file_argument_is_named_by_its_name_even_when_hidden() {
    let scratch = ScratchDirectory::new("scan").expect("scratch");
    let path = write(scratch.path(), "deep/.profile.md");
    assert_eq!(ids(&[path]), [".profile.md"]);
}

#[cfg(unix)]
#[test]
fn links_inside_folders_are_not_followed() {
    let scratch = ScratchDirectory::new("scan").expect("scratch");
    write(scratch.path(), "a/b.md");
    std::os::unix::fs::symlink(scratch.path(), scratch.path().join("a/loop")).expect("a link");
    let found = scan_paths(&[scratch.path().to_owned()], &ScanOptions::default()).expect("a scan");
    assert_eq!(found.files.len(), 1);
    assert_eq!(found.skips.total(), 1);
    assert!(found.skips.lines().next().expect("a line").contains("symbolic link"));
}

#[test]
fn a_file_named_twice_is_one_document() {
    let scratch = ScratchDirectory::new("scan").expect("scratch");
    let path = write(scratch.path(), "a.md");
    assert_eq!(ids(&[scratch.path().to_owned(), path.clone(), path]), ["a.md"]);
}

fn ids_with(paths: &[PathBuf], options: &ScanOptions) -> Vec<String> {
    let scan = scan_paths(paths, options).expect("a scan");
    scan.files.iter().map(|file| file.id.as_str().to_owned()).collect()
}

#[test]
fn ids_begin_at_the_common_folder() {
    let scratch = ScratchDirectory::new("scan").expect("scratch");
    for name in ["x/a.md", "y/a.md", "a.md"] {
        write(scratch.path(), name);
    }
    let (x, y, file) = (scratch.path().join("x"), scratch.path().join("y"), scratch.path().join("a.md"));
    assert_eq!(ids(&[x.clone(), y.clone()]), ["x/a.md", "y/a.md"]);
    assert_eq!(ids(&[x.clone(), file.clone()]), ["x/a.md", "a.md"]);
    assert_eq!(ids(&[x.join("../x/./"), x.join("a.md")]), ["a.md"], "however it is written");
    assert_eq!(ids(&[scratch.path().to_owned(), y.clone(), file]), ["a.md", "x/a.md", "y/a.md"]);
    let rooted = ScanOptions { root: Some(scratch.path().to_owned()), ..ScanOptions::default() };
    assert_eq!(ids_with(std::slice::from_ref(&x), &rooted), ["x/a.md"]);
    let known = scratch.path().canonicalize().expect("a path");
    let known = ScanOptions { known_roots: vec![known.join("y"), known], ..ScanOptions::default() };
    assert_eq!(ids_with(&[x], &known), ["x/a.md"], "an earlier run began further up");
    assert_eq!(ids_with(std::slice::from_ref(&y), &known), ["a.md"]);
    let elsewhere = ScanOptions { root: Some(y), ..ScanOptions::default() };
    let refusal = scan_paths(&[scratch.path().join("x")], &elsewhere).expect_err("a refusal");
    assert_eq!(refusal.code, "path_outside_root");
}

#[test]
fn a_scan_says_what_it_went_through() {
    let scratch = ScratchDirectory::new("scan").expect("scratch");
    for name in ["x/a.md", "y/a.md"] {
        write(scratch.path(), name);
    }
    let within = |paths: &[PathBuf]| scan_paths(paths, &ScanOptions::default()).expect("a scan").within;
    assert_eq!(within(&[scratch.path().to_owned()]), [] as [&str; 0], "the whole root");
    assert_eq!(within(&[scratch.path().join("x"), scratch.path().join("y/a.md")]), ["x/", "y/a.md"]);
}

#[test]
fn ignored_files_and_unread_types_are_left_out_and_counted() {
    let scratch = ScratchDirectory::new("scan").expect("scratch");
    for name in
        ["a.md", "b.PNG", "node_modules/x/a.md", "build/a.md", "sub/draft.md", "c.log", "a.md.meta.json"]
    {
        write(scratch.path(), name);
    }
    fs::write(scratch.path().join(".gitignore"), "node_modules/\n/build\n").expect("a file");
    fs::write(scratch.path().join("sub/.ignore"), "draft*\n").expect("a file");
    let all = [scratch.path().to_owned()];
    let found = scan_paths(&all, &ScanOptions::default()).expect("a scan");
    let names: Vec<&str> = found.files.iter().map(|file| file.id.as_str()).collect();
    assert_eq!(names, ["a.md", "c.log"]);
    let lines: Vec<String> = found.skips.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("skipped 2 (hidden)") && lines[1].starts_with("skipped 3 (ignored)"));
    assert!(lines[2].starts_with("skipped 1 (of a type that is not read)"));
    let open = ScanOptions { no_ignore: true, ..ScanOptions::default() };
    assert_eq!(ids_with(&all, &open).len(), 5);
    let chosen = ScanOptions {
        include: vec!["*.md".to_owned(), "*.log".to_owned()],
        exclude: vec!["a.*".to_owned()],
        ..ScanOptions::default()
    };
    assert_eq!(ids_with(&all, &chosen), ["c.log"]);
    let wrong = ScanOptions { exclude: vec!["{a".to_owned()], ..ScanOptions::default() };
    assert_eq!(scan_paths(&all, &wrong).expect_err("a refusal").code, "invalid_glob");
}

#[test]
fn the_data_directory_is_never_taken_in() {
    let scratch = ScratchDirectory::new("scan").expect("scratch");
    for name in ["a.md", "contexture-data/index/meta.json", "sub/contexture-data/a.md"] {
        write(scratch.path(), name);
    }
    let data_directory = Some(scratch.path().join("contexture-data"));
    let options = ScanOptions { data_directory, ..ScanOptions::default() };
    assert_eq!(ids_with(&[scratch.path().to_owned()], &options), ["a.md", "sub/contexture-data/a.md"]);
}

#[test]
fn a_missing_path_is_refused_by_name() {
    let refusal =
        scan_paths(&[PathBuf::from("no/such/path")], &ScanOptions::default()).expect_err("a refusal");
    assert_eq!(refusal.code, "path_not_found");
    assert!(refusal.message.contains("no/such/path"));
}
