//! Calls of the pipeline, and whose fault it is when one fails.
//!
//! A 403, a refusal of a single text and a single text's answer that makes no sense twice may be about
//! the text, or about everything. [`CANARY_TEXT`] tells: where it is served the text is to blame, and its
//! document alone is dead; where it is not, what it met is what the call met. So no document dies
//! of a provider that is not well. After a refusal the canary is asked only if no call was served
//! since the last one; a 403 is often a credential's, so it is asked every time.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::call::ProviderCallError;
use super::wire_formats::EmbedResponse;
use super::{CANARY_TEXT, ProviderEmbedder, THROTTLED_TIME_MAX, outcome_for_limiter};
use crate::credentials::AccessToken;
use contexture_core::fault::Fault;
use contexture_core::ports::embedder::{EmbeddingPurpose, TurnDeadline};
use contexture_core::resilience::quota_protocol::CallOutcome;

/// What one call brought, and the token that it was made with.
struct ProviderCallAttempt {
    token: Option<AccessToken>,
    made: Result<Vec<Vec<f32>>, ProviderCallError>,
}

impl ProviderEmbedder {
    pub(super) async fn passages(
        &self,
        texts: &[String],
        tokens: usize,
        deadline: &TurnDeadline,
    ) -> Result<Vec<Vec<f32>>, Fault> {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let began = Instant::now();
        let (mut renewed, mut rechecked) = (false, false);
        loop {
            let ProviderCallAttempt { mut token, made } =
                self.try_call(texts, tokens, renewed, deadline).await?;
            let mut trouble = match made {
                Ok(vectors) => return Ok(vectors),
                Err(trouble) => trouble,
            };
            if self.may_be_about_the_text(&trouble, texts.len() == 1, rechecked) {
                let canary = self.try_canary(renewed, deadline).await?;
                match canary.made {
                    Ok(_) => return Err(self.rejected(&trouble.into_words())),
                    Err(everybodys) => (token, trouble) = (canary.token, everybodys),
                }
            }
            match trouble {
                ProviderCallError::Throttled(_) if began.elapsed() < THROTTLED_TIME_MAX => {}
                ProviderCallError::Throttled(hint_ms) => return Err(self.throttled(hint_ms)),
                ProviderCallError::Unauthorized(words) if !renewed => {
                    if let Err(fault) = self.renewed(token).await {
                        return Err(self.not_renewed(&words, fault).await);
                    }
                    renewed = true;
                }
                ProviderCallError::Nonsense(_) if !rechecked => rechecked = true,
                ProviderCallError::Refused(words) | ProviderCallError::Nonsense(words) => {
                    return Err(self.rejected(&words));
                }
                ProviderCallError::Unauthorized(words)
                | ProviderCallError::Forbidden(words)
                | ProviderCallError::Misused(words) => {
                    return Err(Fault::Unauthorized(self.says(&words)));
                }
                ProviderCallError::Failed { words, .. } => return Err(self.failed(&words)),
            }
        }
    }

    /// Whether an innocent text has to tell.
    fn may_be_about_the_text(&self, trouble: &ProviderCallError, is_alone: bool, rechecked: bool) -> bool {
        match trouble {
            ProviderCallError::Forbidden(_) => true,
            ProviderCallError::Nonsense(_) => is_alone && rechecked,
            // Once per refusal: what was served long ago says nothing of today.
            ProviderCallError::Refused(_) => is_alone && !self.served.swap(false, Ordering::Relaxed),
            _ => false,
        }
    }

    /// Asks for the vector of an innocent text: what is wrong with it is wrong with all.
    async fn try_canary(&self, renewed: bool, deadline: &TurnDeadline) -> Result<ProviderCallAttempt, Fault> {
        let everybodys = |trouble| match trouble {
            ProviderCallError::Refused(words) => {
                ProviderCallError::Misused(format!("refuses every text: {words}"))
            }
            ProviderCallError::Forbidden(words) => ProviderCallError::Unauthorized(words),
            ProviderCallError::Nonsense(words) => ProviderCallError::Failed { words, late: false },
            other => other,
        };
        self.make(&[CANARY_TEXT.to_owned()], 1, renewed, deadline, everybodys).await
    }

    async fn try_call(
        &self,
        texts: &[String],
        tokens: u32,
        renewed: bool,
        deadline: &TurnDeadline,
    ) -> Result<ProviderCallAttempt, Fault> {
        self.make(texts, tokens, renewed, deadline, |trouble| trouble).await
    }

    /// Makes one call in its turn and tells the limiter how it ended, with its trouble as `understood`.
    async fn make(
        &self,
        texts: &[String],
        tokens: u32,
        renewed: bool,
        deadline: &TurnDeadline,
        understood: impl Fn(ProviderCallError) -> ProviderCallError + Send,
    ) -> Result<ProviderCallAttempt, Fault> {
        let lease = self.parts.limiter.turn(tokens, deadline).await?;
        // Not before its turn: it may have been replaced while this call waited.
        let token = match self.token().await {
            Ok(token) => token,
            Err(fault) => return Err(self.without_token(lease, fault).await),
        };
        let (made, told) = self.parts.call(token.as_ref(), texts, EmbeddingPurpose::Passage).await;
        let (ended, made) = match made.map_err(understood) {
            Ok(EmbedResponse { vectors, tokens: used }) => {
                self.served.store(true, Ordering::Relaxed);
                (CallOutcome::Served(used.and_then(|used| u32::try_from(used).ok())), Ok(vectors))
            }
            Err(trouble) => (outcome_for_limiter(&trouble, renewed), Err(trouble)),
        };
        self.report(lease, ended, told).await;
        Ok(ProviderCallAttempt { token, made })
    }
}
