//! `AdminService/Compare`, held against the command.

use contexture::server::grpc::proto::admin_service_client::AdminServiceClient;
use contexture::server::grpc::proto::{CompareProgress, CompareQuestion, CompareRequest};

use super::{COMPARE, ServeProcess, number, two_generations};

/// The same over the API: the figures that the command prints, its questions and its gate.
#[tokio::test]
async fn api_compares_as_the_command_does() {
    let cli = two_generations();
    let printed = cli.json(0, &COMPARE);
    let server = ServeProcess::start(&cli, &[]);
    let mut client = AdminServiceClient::connect(server.url()).await.unwrap();
    let question = |id: &str, text: &str, relevant: &[(&str, f64)]| CompareQuestion {
        id: id.to_owned(),
        text: text.to_owned(),
        relevant: relevant.iter().map(|(document, grade)| ((*document).to_owned(), *grade)).collect(),
    };
    let request = CompareRequest {
        collection: "c".to_owned(),
        questions: vec![
            question("iron", "What holds a ship in shallow water?", &[("anchor.md", 1.0)]),
            question("", "Why does dough rise?", &[("bread.md", 2.0), ("comet.md", 0.0)]),
            question("<tail>", "What is a \"comet\" <made> of & why?", &[]),
        ],
        require: vec!["overlap@10>=1.5".to_owned(), "ndcg_delta>=-1".to_owned()],
        ..CompareRequest::default()
    };
    let mut told: Vec<CompareProgress> = Vec::new();
    let mut stream = client.compare(request.clone()).await.unwrap().into_inner();
    while let Some(message) = stream.message().await.unwrap() {
        told.push(message);
    }
    let whole = told.pop().unwrap().report.unwrap();
    assert_eq!((whole.generation_a, whole.generation_b, whole.questions, whole.failed), (1, 2, 3, 0));
    let alike = whole.likeness.unwrap();
    for (figure, value) in [
        ("overlap", alike.overlap),
        ("rbo", alike.rbo),
        ("kendall_tau", alike.kendall_tau),
        ("context_overlap", alike.context_overlap),
        ("a_context_in_b", alike.a_context_in_b),
        ("b_context_in_a", alike.b_context_in_a),
    ] {
        assert!((number(&printed[figure]) - value).abs() < 1e-12, "{figure}: {value} {printed}");
    }
    let judged = whole.judged.unwrap();
    assert_eq!(judged.questions, 2);
    assert!((number(&printed["judged"]["ndcg"]["b"]) - judged.ndcg_b).abs() < 1e-12);
    let met: Vec<bool> = whole.requirements.iter().map(|one| one.met).collect();
    assert_eq!(met, [false, true, true], "the last: that no question fails");
    assert!(whole.latency_ms_b.unwrap().p50 > 0.0);
    let questions: Vec<_> = told.iter().filter_map(|message| message.question.as_ref()).collect();
    let ids: Vec<&str> = questions.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["iron", "2", "<tail>"]);
    for (one, printed) in questions.iter().zip(printed["per_question"].as_array().unwrap()) {
        let printed = printed["b"]["documents"].as_array().unwrap();
        assert_eq!(
            one.b.as_ref().unwrap().document_ids,
            printed.iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>()
        );
    }

    for (change, field, code) in [
        (
            CompareRequest { require: vec!["speed>=1".to_owned()], ..request.clone() },
            "require",
            "invalid_requirement",
        ),
        (CompareRequest { generations: vec![1], ..request.clone() }, "generations", "invalid_generations"),
        (CompareRequest { generations: vec![1, 7], ..request.clone() }, "", "unknown_generation"),
        (CompareRequest { top_k: Some(0), require: Vec::new(), ..request.clone() }, "top_k", "invalid_top_k"),
        (
            CompareRequest { questions: Vec::new(), require: Vec::new(), ..request.clone() },
            "",
            "no_sampled_questions",
        ),
        (
            CompareRequest { questions: vec![question("", " ", &[])], ..request.clone() },
            "questions",
            "invalid_questions",
        ),
        (
            CompareRequest {
                questions: vec![question("1", "a?", &[]), question("1", "b?", &[])],
                require: Vec::new(),
                ..request.clone()
            },
            "questions",
            "invalid_questions",
        ),
        (
            CompareRequest { questions: vec![question("", "a?", &[])], ..request.clone() },
            "require",
            "no_judgements",
        ),
    ] {
        let ended = match client.compare(change).await {
            Err(status) => status,
            Ok(stream) => stream.into_inner().message().await.unwrap_err(),
        };
        let details = tonic_types::StatusExt::get_error_details(&ended);
        assert_eq!(details.error_info().unwrap().reason, code);
        let violated = details.bad_request().map(|bad| bad.field_violations[0].field.clone());
        assert_eq!(violated.unwrap_or_default(), field, "{code}");
    }
    drop(client);
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
}
