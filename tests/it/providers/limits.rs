//! The limiter that all callers of a credential share.

use std::sync::Arc;
use std::time::Duration;

use contexture::fault::Fault;
use contexture::ports::embedder::Deadline;
use contexture::resilience::limiter::{Limiter, PATIENCE_MAX};
use contexture::resilience::terms::{Ended, Limits, Told};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::providers::Setup;

fn per_minute(requests: u32, calls_max: u32) -> Limits {
    Limits { requests_per_minute: Some(requests), tokens_per_minute: None, calls_max }
}

/// Calls that take `call` each, from `callers` callers of each limiter, until `until`; returns when
/// each began, in ms.
async fn calls(limiters: &[Arc<Limiter>], callers: usize, call: Duration, until: Duration) -> Vec<u128> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for limiter in limiters.iter().flat_map(|limiter| std::iter::repeat_n(limiter, callers)) {
        let limiter = limiter.clone();
        running.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < until {
                let lease = limiter.turn(10, &Deadline::never()).await.unwrap();
                times.push(began.elapsed().as_millis());
                tokio::time::sleep(call).await;
                limiter.report(lease, Ended::Served(None), Told::default()).await.unwrap();
            }
            times
        });
    }
    let mut times = running.join_all().await.concat();
    times.sort_unstable();
    times
}

fn processes(count: usize, limits: Limits) -> Vec<Arc<Limiter>> {
    let setup = Setup { limits, ..Setup::new() };
    let states = setup.states.clone();
    (0..count)
        .map(|number| {
            let one = Setup { holder: format!("process {number}"), limits, ..Setup::new() };
            Setup { states: states.clone(), clock: setup.clock.clone(), ..one }.limiter()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn four_processes_share_one_rate_and_use_it_up() {
    let limiters = processes(4, per_minute(600, 16));
    let times = calls(&limiters, 4, Duration::from_millis(80), Duration::from_mins(2)).await;
    let minute = |from: u128| times.iter().filter(|at| (from..from + 60_000).contains(*at)).count();
    for from in [0, 7_000, 30_000, 59_000] {
        let calls = minute(from);
        assert!((570..=604).contains(&calls), "{calls} in the minute from {from} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_four_that_has_work_gets_it_all() {
    let limiters = processes(4, per_minute(600, 16));
    calls(&limiters, 2, Duration::from_millis(80), Duration::from_secs(5)).await;
    let times = calls(&limiters[..1], 8, Duration::from_millis(80), Duration::from_mins(1)).await;
    assert!(times.len() >= 570, "{}", times.len());
}

#[tokio::test(start_paused = true)]
async fn tokens_are_paced_like_requests_and_corrected() {
    let limits = Limits { requests_per_minute: None, tokens_per_minute: Some(60_000), calls_max: 8 };
    let limiter = Setup { limits, ..Setup::new() }.limiter();
    let began = Instant::now();
    for _ in 0..10 {
        // A thousand are expected, and a hundred used: a second each becomes a tenth.
        let lease = limiter.turn(1000, &Deadline::never()).await.unwrap();
        limiter.report(lease, Ended::Served(Some(100)), Told::default()).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for _ in 0..10 {
        let lease = limiter.turn(1000, &Deadline::never()).await.unwrap();
        limiter.report(lease, Ended::Served(None), Told::default()).await.unwrap();
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(8)..Duration::from_secs(12)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_dies_gives_its_place_back() {
    let limits = Limits { requests_per_minute: None, tokens_per_minute: None, calls_max: 2 };
    let setup = Setup { limits, call_max: Duration::from_secs(10), ..Setup::new() };
    let limiter = setup.limiter();
    // Two that are never reported: their process is gone.
    limiter.turn(1, &Deadline::never()).await.unwrap();
    limiter.turn(1, &Deadline::never()).await.unwrap();
    let began = Instant::now();
    limiter.turn(1, &Deadline::never()).await.unwrap();
    let waited = began.elapsed();
    assert!((Duration::from_secs(14)..Duration::from_secs(17)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn window_falls_when_throttled_and_grows_back() {
    let limits = Limits { requests_per_minute: None, tokens_per_minute: None, calls_max: 16 };
    let limiter = Setup { limits, ..Setup::new() }.limiter();
    let window = |limiter: &Limiter| limiter.standing().unwrap().window;
    calls(std::slice::from_ref(&limiter), 16, Duration::from_millis(50), Duration::from_secs(20)).await;
    assert_eq!(window(&limiter), 16);
    for expected in [8, 4, 2, 1, 1] {
        let lease = limiter.turn(1, &Deadline::never()).await.unwrap();
        limiter.report(lease, Ended::Throttled(Some(1200)), Told::default()).await.unwrap();
        assert_eq!(window(&limiter), expected);
    }
    calls(std::slice::from_ref(&limiter), 16, Duration::from_millis(50), Duration::from_secs(20)).await;
    assert_eq!(window(&limiter), 16);
}

#[tokio::test(start_paused = true)]
async fn waits_without_a_hint_grow_and_are_spread() {
    let limiter = Setup::new().limiter();
    let mut waits = Vec::new();
    for _ in 0..10 {
        let lease = loop {
            match limiter.turn(1, &Deadline::never()).await {
                Ok(lease) => break lease,
                Err(Fault::Throttled { retry_after, .. }) => tokio::time::sleep(retry_after).await,
                Err(other) => panic!("{other}"),
            }
        };
        limiter.report(lease, Ended::Throttled(None), Told::default()).await.unwrap();
        waits.push(limiter.standing().unwrap().wait_ms);
    }
    for (doublings, wait_ms) in waits.iter().enumerate() {
        let most_ms = (1000 << doublings).min(60_000);
        assert!((most_ms / 2..=most_ms).contains(wait_ms), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn others_see_why_one_waits() {
    let limiters = processes(2, per_minute(600, 16));
    let lease = limiters[0].turn(1, &Deadline::never()).await.unwrap();
    limiters[0].report(lease, Ended::Throttled(Some(300_000)), Told::default()).await.unwrap();
    let began = Instant::now();
    assert!(matches!(limiters[1].turn(1, &Deadline::never()).await, Err(Fault::Throttled { .. })));
    assert!(began.elapsed() < PATIENCE_MAX);
    let waiting = limiters[1].clone();
    let parked = tokio::spawn(async move { waiting.until_open().await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    limiters[0].look().await.unwrap();
    let standing = limiters[0].standing().unwrap();
    assert_eq!(standing.waiting, 1);
    assert!((290_000..=300_000).contains(&standing.wait_ms), "{}", standing.wait_ms);
    tokio::time::sleep(Duration::from_mins(5)).await;
    parked.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retries_have_a_budget() {
    let limiter = Setup::new().limiter();
    let mut taken = 0;
    let fault = loop {
        match limiter.retry().await {
            Ok(()) => taken += 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!(taken, 100);
    assert!(matches!(fault, Fault::Throttled { .. }), "{fault}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    limiter.retry().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_turn_ends_at_its_deadline_and_when_the_process_stops() {
    let limiter = Setup { limits: per_minute(1, 16), ..Setup::new() }.limiter();
    limiter.turn(1, &Deadline::never()).await.unwrap();
    let stop = watch::Sender::new(false);
    let began = Instant::now();
    let deadline = Deadline::new(began + Duration::from_secs(7), stop.subscribe());
    let Fault::Throttled { retry_after, .. } = limiter.turn(1, &deadline).await.unwrap_err() else {
        panic!()
    };
    assert_eq!((began.elapsed(), retry_after), (Duration::from_secs(7), Deadline::AGAIN));

    let deadline = Deadline::new(began + Duration::from_mins(5), stop.subscribe());
    let waiting = tokio::spawn(async move { limiter.turn(1, &deadline).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.send_replace(true);
    let stopped = Instant::now();
    assert!(matches!(waiting.await.unwrap(), Err(Fault::Throttled { .. })));
    assert!(stopped.elapsed() < Duration::from_millis(10), "{:?}", stopped.elapsed());
}
