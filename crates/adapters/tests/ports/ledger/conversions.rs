//! What converters made of versions, and how long it stays.

use contexture_core::domain::ids::VersionKey;
use contexture_core::ports::converter::{ConvertedFormat, ConvertedText};
use contexture_core::ports::ledger::VersionOutcome;

use super::{LedgerFixture, gave_up};
use crate::support::spans;

fn text(format: ConvertedFormat, text: &str) -> ConvertedText {
    ConvertedText { format, body: text.as_bytes().to_vec() }
}

impl LedgerFixture {
    async fn keep(&self, key: &VersionKey, converted: &ConvertedText) -> Option<ConvertedText> {
        self.ledger.keep_conversions(vec![(key.clone(), converted.clone())]).await.unwrap().remove(0)
    }

    async fn converted(&self, key: &VersionKey) -> Option<ConvertedText> {
        let bodies = self.ledger.bodies(std::slice::from_ref(key)).await.unwrap();
        bodies.into_iter().next().flatten().and_then(|stored| stored.converted)
    }
}

pub(super) async fn first_conversion_of_a_version_stays(fixture: LedgerFixture) {
    let (one, two) = (fixture.accepted("one", 1, "a").await, fixture.accepted("two", 1, "b").await);
    let unknown = VersionKey { document_id: crate::support::document("three"), ..one.clone() };
    let first = text(ConvertedFormat::Markdown, "# First");
    let html = ConvertedText { format: ConvertedFormat::Html, body: vec![0xFF, 0, 1] };
    let all = vec![(one.clone(), first.clone()), (unknown, first.clone()), (two.clone(), html.clone())];
    let kept = fixture.ledger.keep_conversions(all).await.unwrap();
    assert_eq!(kept, [Some(first.clone()), None, Some(html.clone())]);
    let later = text(ConvertedFormat::Text, "another");
    assert_eq!(fixture.keep(&one, &later).await, Some(first.clone()), "spans may refer to the first already");
    assert_eq!((fixture.converted(&one).await, fixture.converted(&two).await), (Some(first), Some(html)));
}

pub(super) async fn conversions_live_as_long_as_their_bodies(fixture: LedgerFixture) {
    let key = fixture.accepted("doc", 1, "one").await;
    let converted = text(ConvertedFormat::Text, "the words of a scan");
    fixture.keep(&key, &converted).await;
    fixture.ledger.store_spans(1, vec![(key.clone(), spans(1))]).await.unwrap();
    fixture.finish(&key, VersionOutcome::Visible(1)).await;
    assert_eq!(fixture.converted(&key).await.as_ref(), Some(&converted), "a repair reads it");
    assert_eq!(fixture.keep(&key, &converted).await, None, "a version that has ended is not converted");

    let newer = fixture.visible("doc", 2, "two").await;
    assert_eq!(fixture.converted(&newer).await, None);
    fixture.ledger.mark_swept(std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(fixture.converted(&key).await, None);

    let dying = fixture.accepted("dying", 1, "three").await;
    fixture.keep(&dying, &converted).await;
    fixture.finish(&dying, gave_up()).await;
    fixture.ledger.mark_swept(std::slice::from_ref(&dying)).await.unwrap();
    assert_eq!(fixture.converted(&dying).await, Some(converted), "it can be replayed");
}
