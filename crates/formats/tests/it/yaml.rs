//! YAML, TOML and INI files of services.

use std::fmt::Write as _;

use super::data_support::{check, marks, mutations, path_at};
use contexture_formats::{ParsedText, StructureMarkKind, TextStructure, parse_ini, parse_toml, parse_yaml};
use proptest::prelude::*;

const COMPOSE: &str = "# The stack of the shop.\nservices:\n  # Behind the gateway.\n  web:\n    image: registry.example/shop/web:2.4\n    environment:\n      DATABASE_URL: postgres://shop@db/shop?application_name=web&connect_timeout=10\n      LOG_LEVEL: info\n      WELCOME: |\n        # not a comment\n        Grüß Gott: willkommen\n\n        im Laden\n    ports:\n      - \"8080:80\"\n      - \"8443:443\"\n  db:\n    image: postgres:17\n    volumes: [\"data:/var/lib/postgresql/data\"]\nvolumes:\n  data: {}\n";
const MANIFESTS: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: pump\n  labels: {app: pump}\nspec:\n  ports:\n    - name: http\n      port: 80\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: pump\nspec:\n  replicas: 3\n  template:\n    spec:\n      containers:\n        - name: main\n          image: pump:1\n          args: [\"--hall\", \"nine\"]\n          resources: {limits: {cpu: 500m, memory: 128Mi}, requests: {cpu: 100m, memory: 64Mi}}\n          livenessProbe: {httpGet: {path: /healthz, port: 8080}, initialDelaySeconds: 15, periodSeconds: 20}\n        - image: sidecar:2\n          name: sidecar\n          args: [\"--log\", \"json\", \"--upstream\", \"http://localhost:8080/metrics\", \"--interval\", \"15s\"]\n";
const CARGO: &str = "# Of the workspace.\n[package]\nname = \"shop\"\nversion = \"0.3.0\"\ndescription = \"A shop for pumps, and for all the parts of pumps that a hall may need, in one binary\"\nkeywords = [\n  \"shop\",\n  \"pumps\",\n]\n\n# What it needs.\n[dependencies]\nserde = { version = \"1\", features = [\"derive\"] }\nanyhow = \"1\"\naxum = { version = \"0.8\", default-features = false, features = [\"http1\", \"http2\", \"json\", \"tokio\"] }\n\n[dependencies.tokio]\nversion = \"1\"\nfeatures = [\"full\"]\n\n[[bin]]\npath = \"src/main.rs\"\nname = \"shop\"\n\n[[bin]]\nname = \"shopctl\"\n";
const GIT: &str = "; of the repository\n[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://example.com/x.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\n# proxy\nhttp.proxy=none\n";

fn parse(source: &str) -> ParsedText {
    let parsed = parse_yaml(source);
    check(&parsed, source);
    parsed
}

fn place(parsed: &ParsedText, part: &str) -> usize {
    parsed.text.find(part).unwrap_or_else(|| panic!("{part} in {}", parsed.text))
}

fn path_of(parsed: &ParsedText, part: &str) -> Vec<String> {
    path_at(parsed, place(parsed, part))
}

#[test]
fn values_know_their_keys() {
    let mut source = "service:\n  gateway:\n    limits:\n      burst: 40\n      rate: 120\n".to_owned();
    for worker in 0..40 {
        let _ = write!(
            source,
            "  worker{worker}:\n    limits:\n      burst: {}\n      rate: {}\n    image: registry/worker:{worker}\n",
            worker + 1,
            worker * 3
        );
    }
    let parsed = parse(&source);
    assert_eq!(parsed.text, source);
    let at = place(&parsed, "  worker17:");
    let begins = marks(&parsed).iter().find(|mark| mark.at == at).expect("a mark");
    assert_eq!(begins.kind, StructureMarkKind::Section { depth: 2, title: "worker17".to_owned() });
    let rate = at + source[at..].find("rate: 51").expect("its rate");
    assert_eq!(path_at(&parsed, rate), ["service", "worker17"]);
    // The worker is small: nothing inside is a good place to cut.
    let end = place(&parsed, "  worker18:");
    assert!(
        marks(&parsed)
            .iter()
            .filter(|mark| mark.at > at && mark.at < end)
            .all(|mark| mark.kind == StructureMarkKind::Line)
    );
}

#[test]
fn a_compose_file_has_sections_and_comments_stay_with_keys() {
    let parsed = parse(COMPOSE);
    assert_eq!(path_of(&parsed, "LOG_LEVEL"), ["services", "web", "environment"]);
    assert_eq!(path_of(&parsed, "postgres:17"), ["services", "db"]);
    assert_eq!(path_of(&parsed, "data: {}"), ["volumes"]);
    assert!(path_of(&parsed, "  # Behind the gateway").contains(&"web".to_owned()));
    let first = &marks(&parsed)[0];
    assert_eq!(
        (first.at, &first.kind),
        (0, &StructureMarkKind::Section { depth: 1, title: "services".to_owned() })
    );
    // Nothing is marked inside of a block scalar.
    let (from, to) = (place(&parsed, "        # not a comment"), place(&parsed, "    ports:"));
    assert!(marks(&parsed).iter().all(|mark| mark.at < from || mark.at >= to));
}

#[test]
fn documents_are_titled_by_kind_and_name() {
    let parsed = parse(MANIFESTS);
    assert_eq!(path_of(&parsed, "port: 80")[0], "Service pump");
    assert_eq!(
        path_of(&parsed, "pump:1"),
        ["Deployment pump", "spec", "template", "spec", "containers", "main"]
    );
    assert_eq!(path_of(&parsed, "sidecar:2").last().map(String::as_str), Some("sidecar"));
    let second = place(&parsed, "---");
    assert!(marks(&parsed).iter().any(|mark| mark.at == second), "{:?}", marks(&parsed));
}

#[test]
fn an_openapi_description_leads_to_its_operations() {
    let source = "openapi: 3.1.0\ninfo:\n  title: Lager\n  version: '1'\npaths:\n  /parts/{sku}:\n    get:\n      operationId: getPart\n      summary: Returns a part by its stock keeping unit, with its stock in every hall\n      parameters:\n        - name: sku\n          in: path\n          required: true\n          schema: {type: string}\n          description: The stock keeping unit, as printed on the label of the shelf and on the delivery note\n        - name: fields\n          in: query\n          schema: {type: array, items: {type: string}}\n          description: Only these fields are returned; without it all of them are, with links to their halls\n      responses:\n        '200':\n          description: The part\n        '404':\n          description: No such part; the body says which halls were asked, and when they last answered it\n";
    let parsed = parse(source);
    assert_eq!(
        path_of(&parsed, "Only these fields"),
        ["paths", "/parts/{sku}", "get", "parameters", "fields"]
    );
    assert_eq!(&path_of(&parsed, "No such part")[..4], ["paths", "/parts/{sku}", "get", "responses"]);
}

#[test]
fn what_is_no_yaml_is_plain_text() {
    for source in ["a: [1, 2\nb: 3\n", "name: {{ .Values.name }}\n  x: y: z\n", "\tkey: value\n\t- x\n"] {
        let parsed = parse(source);
        assert_eq!((&parsed.structure, parsed.text.as_str()), (&TextStructure::Plain, source));
        assert!(parsed.notes[0].contains("line "), "{:?}", parsed.notes);
    }
}

#[test]
fn json_in_a_yaml_file_is_json() {
    let source = format!("{{\"users\": [{}1]}}", "{\"name\": \"x\", \"quota\": 5}, ".repeat(60));
    assert!(parse(&source).text.lines().count() > 50);
}

#[test]
fn lists_and_scalars_are_items() {
    let source = (0..50)
        .map(|entry| format!("- entry number {entry} of the list\n"))
        .collect::<Vec<String>>()
        .concat();
    let parsed = parse(&source);
    assert_eq!(marks(&parsed).iter().filter(|mark| mark.kind == StructureMarkKind::Item).count(), 50);
    parse("just a scalar\n");
    parse("");
    parse("? [a, b]\n: c\n? {x: y}\n: - z\n");
    parse("a: &x\n  b: 1\nc: *x\nd: !tag {e: f}\n&k key: !!map\n  z: 1\n");
}

#[test]
fn size_and_nesting_take_linear_time() {
    let flat = (0..30_000).map(|key| format!("key{key}: value {key}\n")).collect::<Vec<String>>().concat();
    parse(&flat);
    parse(&"- ".repeat(20_000));
    parse(&("- ".repeat(250) + "x"));
    parse(&"# comment\n".repeat(50_000));
    parse(&format!("{}a: 1\n", "# comment\n".repeat(50_000)));
    parse(&format!("a: [{}]\n", "{x: 1}, ".repeat(20_000)));
    parse(&format!("a: |\n{}", "  text\n".repeat(50_000)));
    parse(&"---\na: 1\n".repeat(10_000));
    let toml = format!("a = [{}]\n", "1, ".repeat(50_000)) + &"[[x]]\ny = 1\n".repeat(10_000);
    check(&parse_toml(&toml), &toml);
}

#[test]
fn toml_tables_are_sections() {
    let parsed = parse_toml(CARGO);
    check(&parsed, CARGO);
    assert_eq!(path_of(&parsed, "version = \"0.3.0\""), ["package"]);
    assert_eq!(path_of(&parsed, "# What it needs"), ["dependencies"]);
    assert_eq!(path_of(&parsed, "features = [\"full\"]"), ["dependencies", "tokio"]);
    assert_eq!(path_of(&parsed, "src/main.rs"), ["bin shop"]);
    assert_eq!(path_of(&parsed, "shopctl"), ["bin shopctl"]);
    let broken = "[a]\nb = \nc = 1\n";
    let parsed = parse_toml(broken);
    assert!(parsed.structure == TextStructure::Plain && parsed.notes[0].contains("line 2"), "{parsed:?}");
}

#[test]
fn ini_sections_are_sections() {
    let parsed = parse_ini(GIT);
    check(&parsed, GIT);
    assert_eq!(path_of(&parsed, "fetch"), ["remote \"origin\""]);
    assert_eq!(path_of(&parsed, "; of the"), ["core"]);
    let env = "# local\nDATABASE_URL=postgres://x\nSECRET='a b'\n";
    let parsed = parse_ini(env);
    assert_eq!(marks(&parsed).iter().map(|mark| mark.at).collect::<Vec<_>>(), [0, 34]);
}

proptest! {
    #[test]
    fn damaged_yaml_is_read(source in mutations(&[COMPOSE, MANIFESTS], &["\"", ",", "{", "}", "[", ":", "\n", "\r\n", "- ", "\0", "ü", "#", "---\n", "|", "  ", "\t", "&a ", "*a", "? ", ""])) {
        parse(&source);
        check(&parse_ini(&source), &source);
    }

    #[test]
    fn any_yaml_is_read(source in "(a: |- |\n|\n  |\\[|\\]|\\{|\\}|b|: |\"|'|#|\\||---\n|\r\n|ü|,|\\? ){0,40}") {
        parse(&source);
    }

    #[test]
    fn damaged_toml_is_read(source in mutations(&[CARGO, GIT], &["\"", ",", "{", "}", "[", "]", "=", "\n", "\r\n", "\0", "ü", "#", "'''", ".", ""])) {
        check(&parse_toml(&source), &source);
        check(&parse_ini(&source), &source);
    }
}
