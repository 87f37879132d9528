//! Formats by media type, name and first lines.

use contexture_formats::{CodeFormat, FileFormat, is_known_binary_name};
use proptest::prelude::*;

#[test]
fn media_types() {
    for (media_type, format) in [
        ("text/markdown; charset=utf-8", Some(FileFormat::Markdown)),
        ("Text/HTML", Some(FileFormat::Html)),
        ("application/vnd.oai.openapi+json", Some(FileFormat::Json)),
        ("application/rss+xml", Some(FileFormat::Xml)),
        ("image/svg+xml", Some(FileFormat::Xml)),
        ("application/xhtml+xml", Some(FileFormat::Html)),
        ("application/x-ndjson", Some(FileFormat::JsonLines)),
        ("text/x-c++src", Some(FileFormat::Code(CodeFormat::Cpp))),
        ("text/plain", None),
        ("application/octet-stream", None),
        ("", None),
    ] {
        assert_eq!(FileFormat::from_media_type(media_type), format, "{media_type}");
    }
}

#[test]
fn names() {
    for (name, format) in [
        ("docs/README", Some(FileFormat::Plain)),
        ("docs.d/README.md", Some(FileFormat::Markdown)),
        ("docs.md/notes", None),
        ("C:\\work\\Report.CSV", Some(FileFormat::Csv)),
        (".env", Some(FileFormat::Ini)),
        (".env.production", Some(FileFormat::Ini)),
        ("Dockerfile", Some(FileFormat::Plain)),
        ("Dockerfile.dev", Some(FileFormat::Plain)),
        ("CMakeLists.txt", Some(FileFormat::Plain)),
        ("analysis.ipynb", Some(FileFormat::Notebook)),
        ("app.log.1", Some(FileFormat::Log)),
        ("Cargo.lock", Some(FileFormat::Toml)),
        ("main.tf", Some(FileFormat::Code(CodeFormat::Terraform))),
        ("App.svelte", Some(FileFormat::Code(CodeFormat::Svelte))),
        ("picture.png", None),
        ("", None),
        (".", None),
    ] {
        assert_eq!(FileFormat::from_name(name), format, "{name}");
    }
}

#[test]
fn first_lines() {
    for (text, format) in [
        ("\u{FEFF}\n<!DOCTYPE html><p>x", Some(FileFormat::Html)),
        ("<!-- by hand -->\n<HTML lang=en>", Some(FileFormat::Html)),
        ("<?xml version='1.0'?>\n<rss version='2.0'/>", Some(FileFormat::Xml)),
        ("<?xml version='1.0'?><!DOCTYPE html PUBLIC '…'><html>", Some(FileFormat::Html)),
        ("<feed xmlns=\"http://www.w3.org/2005/Atom\">", Some(FileFormat::Xml)),
        ("<3 this text", None),
        ("<details>\n<summary>x</summary>", None),
        ("{\"a\": 1}", Some(FileFormat::Json)),
        ("{\"a\": 1}\n{\"a\": 2}\n", Some(FileFormat::JsonLines)),
        ("{\"cells\": [], \"nbformat\": 4}", Some(FileFormat::Notebook)),
        ("[1] Knuth, The Art", None),
        ("[INFO] started", None),
        ("{{ template }}", None),
        ("#!/usr/bin/env -S python3 -u\nprint()", Some(FileFormat::Code(CodeFormat::Python))),
        ("#!/bin/sh\n", Some(FileFormat::Code(CodeFormat::Shell))),
        ("diff --git a/x b/x\n", Some(FileFormat::Diff)),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n", Some(FileFormat::Diff)),
        ("From ada@example.com Mon Nov 30 10:00:00 2026\nFrom: Ada <a@x>\n\nHi", Some(FileFormat::Mailbox)),
        ("Received: from x\n by y\nFrom: a@x\nTo: b@x\nSubject: pumps\n\nHi", Some(FileFormat::Mail)),
        ("From: the kitchen\nWe have no more flour.", None),
        ("---\ntitle: Pumps\n---\n\n# Pumps\n", Some(FileFormat::Markdown)),
        ("---\na: 1\n---\nb: 2\n", Some(FileFormat::Yaml)),
        ("---\na: 1\n", Some(FileFormat::Yaml)),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nHi", Some(FileFormat::WebVtt)),
        ("1\n00:00:01,000 --> 00:00:02,000\nHi", Some(FileFormat::SubRip)),
        ("\\documentclass{article}", Some(FileFormat::Latex)),
        ("<?php echo 1;", Some(FileFormat::Code(CodeFormat::Php))),
        ("Plain text, nothing else.", None),
        ("", None),
    ] {
        assert_eq!(FileFormat::sniff(text), format, "{text}");
    }
}

#[test]
fn binary_names() {
    for name in
        ["a/b/Logo.PNG", "x.tar.gz", "libssl.so.3", "report.djvu", "old.pages", "font.woff2", "a.sqlite3"]
    {
        assert!(is_known_binary_name(name), "{name}");
    }
    for name in ["png", "report.pdf", "notes.txt", "a.pdf/readme", "main.rs", ".gitignore", "data.csv"] {
        assert!(!is_known_binary_name(name), "{name}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "(<|>|\\{|\\[|\"|:|---|\n|From |a|ü|#!|/| |<!--|-->|xmlns|\\.){0,30}") {
        let _ = FileFormat::sniff(&text);
        let _ = FileFormat::from_name(&text);
        let _ = FileFormat::from_media_type(&text);
        let _ = is_known_binary_name(&text);
    }
}
