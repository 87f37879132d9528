//! What every store of shared states keeps to.

use std::sync::{Arc, Mutex};

use contexture_core::fault::Fault;
use contexture_core::ports::shared_states::{STATE_BYTES_MAX, STATE_NAME_BYTES_MAX, SharedStateStore};

use super::SharedStatesFixture;

async fn put(states: &Arc<dyn SharedStateStore>, name: &str, state: &str) -> Result<(), Fault> {
    let state = state.to_owned();
    states.change(name, Box::new(move |_, _| Some(state.clone()))).await
}

async fn get(states: &Arc<dyn SharedStateStore>, name: &str) -> Option<String> {
    let seen = Arc::new(Mutex::new(None));
    let out = seen.clone();
    let look = move |state: Option<&str>, _: u64| {
        *out.lock().unwrap() = state.map(str::to_owned);
        None
    };
    states.change(name, Box::new(look)).await.unwrap();
    seen.lock().unwrap().take()
}

pub(super) async fn a_state_is_what_the_last_change_made_of_it(fixture: SharedStatesFixture) {
    assert_eq!(get(&fixture.one, "a").await, None);
    put(&fixture.one, "a", "first").await.unwrap();
    assert_eq!(get(&fixture.two, "a").await.as_deref(), Some("first"));
    put(&fixture.two, "a", "").await.unwrap();
    assert_eq!(get(&fixture.one, "a").await.as_deref(), Some(""));
    assert_eq!(get(&fixture.one, "b").await, None);
}

pub(super) async fn none_leaves_it_as_it_is(fixture: SharedStatesFixture) {
    fixture.one.change("a", Box::new(|_, _| None)).await.unwrap();
    assert_eq!(get(&fixture.two, "a").await, None);
    assert!(fixture.two.named("").await.unwrap().is_empty());
    put(&fixture.one, "a", "kept").await.unwrap();
    fixture.two.change("a", Box::new(|_, _| None)).await.unwrap();
    assert_eq!(get(&fixture.one, "a").await.as_deref(), Some("kept"));
}

pub(super) async fn of_changes_at_once_none_is_lost(fixture: SharedStatesFixture) {
    const EACH: usize = 50;
    let mut running = tokio::task::JoinSet::new();
    for states in [&fixture.one, &fixture.two, &fixture.one, &fixture.two] {
        let states = states.clone();
        running.spawn(async move {
            for _ in 0..EACH {
                let add = |state: Option<&str>, _: u64| {
                    let count: usize = state.map_or(0, |state| state.parse().unwrap());
                    Some((count + 1).to_string())
                };
                states.change("count", Box::new(add)).await.unwrap();
            }
        });
    }
    running.join_all().await;
    assert_eq!(get(&fixture.one, "count").await.unwrap(), (4 * EACH).to_string());
}

pub(super) async fn names_are_found_by_their_beginning(fixture: SharedStatesFixture) {
    for name in ["usage/b", "usage/a%", "usage", "usage_/c", "limiter/a", "usage/ä"] {
        put(&fixture.one, name, name).await.unwrap();
    }
    let found = fixture.two.named("usage/").await.unwrap();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["usage/a%", "usage/b", "usage/ä"]);
    assert!(found.iter().all(|(name, state)| name == state));
    assert_eq!(fixture.two.named("usage/a_").await.unwrap().len(), 0);
    assert_eq!(fixture.two.named("").await.unwrap().len(), 6);
}

pub(super) async fn time_goes_on(fixture: SharedStatesFixture) {
    let times = Arc::new(Mutex::new(Vec::new()));
    for states in [&fixture.one, &fixture.two, &fixture.one] {
        let out = times.clone();
        let note = move |_: Option<&str>, now_ms: u64| {
            out.lock().unwrap().push(now_ms);
            None
        };
        states.change("time", Box::new(note)).await.unwrap();
    }
    let times = times.lock().unwrap().clone();
    assert!(times.len() >= 3 && times.is_sorted() && times[0] > 0, "{times:?}");
}

pub(super) async fn its_time_is_the_one_that_changes_get(fixture: SharedStatesFixture) {
    let time_of_a_change = async || {
        let seen = Arc::new(Mutex::new(0));
        let out = seen.clone();
        let look = move |_: Option<&str>, now_ms: u64| {
            *out.lock().unwrap() = now_ms;
            None
        };
        fixture.one.change("time", Box::new(look)).await.unwrap();
        let now_ms: u64 = *seen.lock().unwrap();
        now_ms
    };
    let before = time_of_a_change().await;
    let now_ms = fixture.two.now_ms().await.unwrap();
    let after = time_of_a_change().await;
    assert!((before..=after).contains(&now_ms), "{before} {now_ms} {after}");
}

pub(super) async fn too_long_is_refused_and_changes_nothing(fixture: SharedStatesFixture) {
    let long = "x".repeat(STATE_BYTES_MAX);
    put(&fixture.one, "a", &long).await.unwrap();
    let fault = put(&fixture.one, "a", &format!("{long}x")).await.unwrap_err();
    assert!(matches!(fault, Fault::Permanent(_)), "{fault}");
    assert_eq!(get(&fixture.two, "a").await.unwrap().len(), STATE_BYTES_MAX);
    let name = "n".repeat(STATE_NAME_BYTES_MAX);
    put(&fixture.one, &name, "a").await.unwrap();
    assert!(put(&fixture.one, &format!("{name}n"), "a").await.is_err());
}
