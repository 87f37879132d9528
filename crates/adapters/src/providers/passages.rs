//! Calls of the indexing pipeline, and who is to blame when one fails.
//!
//! A 403, a refusal of a single text, and a second malformed response to a single text may concern the
//! text or everything. [`CANARY_TEXT`] decides. If it is served, the text is to blame and only its
//! document is dead. If not, the call fails as the canary did. So an unhealthy provider kills no
//! document. After a refusal the canary is sent only if no call was served since the last refusal. After
//! a 403 it is always sent, because a 403 often concerns the credential.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::call::ProviderCallError;
use super::wire_formats::EmbedResponse;
use super::{CANARY_TEXT, ProviderEmbedder, THROTTLED_TIME_MAX, outcome_for_limiter};
use crate::credentials::AccessToken;
use contexture_core::fault::Fault;
use contexture_core::ports::embedder::{EmbeddingPurpose, TurnDeadline};
use contexture_core::resilience::quota_protocol::CallOutcome;

/// The result of one call, and the token that it was made with.
struct ProviderCallAttempt {
    token: Option<AccessToken>,
    result: Result<Vec<Vec<f32>>, ProviderCallError>,
}

impl ProviderEmbedder {
    pub(super) async fn embed_passages(
        &self,
        texts: &[String],
        tokens: usize,
        deadline: &TurnDeadline,
    ) -> Result<Vec<Vec<f32>>, Fault> {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let began = Instant::now();
        let (mut renewed, mut rechecked) = (false, false);
        // Ends: a repetition needs throttling within `THROTTLED_TIME_MAX`, or sets one of the two flags.
        loop {
            let ProviderCallAttempt { mut token, result } =
                self.try_call(texts, tokens, renewed, deadline).await?;
            let mut error = match result {
                Ok(vectors) => return Ok(vectors),
                Err(error) => error,
            };
            if self.may_be_about_the_text(&error, texts.len() == 1, rechecked) {
                let canary = self.try_canary(renewed, deadline).await?;
                match canary.result {
                    Ok(_) => return Err(self.rejected(&error.into_words())),
                    Err(of_everything) => {
                        // From here on the canary's failure stands for this call's.
                        (token, error) = (canary.token, of_everything);
                    }
                }
            }
            match error {
                // Again, without a pause here: the limiter makes the next turn wait.
                ProviderCallError::Throttled(_) if began.elapsed() < THROTTLED_TIME_MAX => {}
                ProviderCallError::Throttled(hint_ms) => return Err(self.throttled(hint_ms)),
                ProviderCallError::Unauthorized(words) if !renewed => {
                    if let Err(fault) = self.renew_token(token).await {
                        return Err(self.park_refused(&words, fault).await);
                    }
                    renewed = true;
                }
                ProviderCallError::Malformed(_) if !rechecked => rechecked = true,
                ProviderCallError::Refused(words) | ProviderCallError::Malformed(words) => {
                    return Err(self.rejected(&words));
                }
                ProviderCallError::Unauthorized(words)
                | ProviderCallError::Forbidden(words)
                | ProviderCallError::Misused(words) => {
                    return Err(Fault::unauthorized(self.labelled(&words)));
                }
                ProviderCallError::Failed { words, .. } => return Err(self.failed(&words)),
            }
        }
    }

    /// Whether the canary has to decide.
    fn may_be_about_the_text(&self, error: &ProviderCallError, is_alone: bool, rechecked: bool) -> bool {
        match error {
            ProviderCallError::Forbidden(_) => true,
            // In a batch any text may be the cause, so the stage has to split it first.
            ProviderCallError::Malformed(_) => is_alone && rechecked,
            // `swap` resets the flag: a call that was served before this refusal proves nothing about
            // the next.
            ProviderCallError::Refused(_) => is_alone && !self.served.swap(false, Ordering::Relaxed),
            _ => false,
        }
    }

    /// Sends the canary. Whatever is wrong with it is wrong with every text.
    async fn try_canary(&self, renewed: bool, deadline: &TurnDeadline) -> Result<ProviderCallAttempt, Fault> {
        let of_everything = |error| match error {
            ProviderCallError::Refused(words) => {
                ProviderCallError::Misused(format!("refuses every text: {words}"))
            }
            ProviderCallError::Forbidden(words) => ProviderCallError::Unauthorized(words),
            ProviderCallError::Malformed(words) => ProviderCallError::Failed { words, late: false },
            other => other,
        };
        self.call_in_turn(&[CANARY_TEXT.to_owned()], 1, renewed, deadline, of_everything).await
    }

    async fn try_call(
        &self,
        texts: &[String],
        tokens: u32,
        renewed: bool,
        deadline: &TurnDeadline,
    ) -> Result<ProviderCallAttempt, Fault> {
        self.call_in_turn(texts, tokens, renewed, deadline, |error| error).await
    }

    /// Waits for a turn, makes one call, and reports its outcome to the limiter. `reinterpret` changes its
    /// error first.
    async fn call_in_turn(
        &self,
        texts: &[String],
        tokens: u32,
        renewed: bool,
        deadline: &TurnDeadline,
        reinterpret: impl Fn(ProviderCallError) -> ProviderCallError + Send,
    ) -> Result<ProviderCallAttempt, Fault> {
        let lease = self.parts.limiter.acquire(tokens, deadline).await?;
        // Only now: the token may have been replaced while this call waited for its turn.
        let token = match self.token().await {
            Ok(token) => token,
            Err(fault) => return Err(self.without_token(lease, fault).await),
        };
        let (result, advertised) = self.parts.call(token.as_ref(), texts, EmbeddingPurpose::Passage).await;
        let (outcome, result) = match result.map_err(reinterpret) {
            Ok(EmbedResponse { vectors, tokens: used }) => {
                // Relaxed suffices: the flag guards no other data, and a stale value costs one canary.
                self.served.store(true, Ordering::Relaxed);
                (CallOutcome::Served(used.and_then(|used| u32::try_from(used).ok())), Ok(vectors))
            }
            Err(error) => (outcome_for_limiter(&error, renewed), Err(error)),
        };
        self.report(lease, outcome, advertised).await;
        Ok(ProviderCallAttempt { token, result })
    }
}
