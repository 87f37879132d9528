//! What a comparison has to come to, before a generation may serve.
//!
//! A requirement is `FIGURE>=NUMBER` or `FIGURE<=NUMBER`. A figure of rankings may name its depth
//! (`overlap@10`), which then has to be the one that is compared. What was not measured meets nothing.
//! Where anything is required, no question may fail, unless `failed` has a bound of its own.

use serde::Serialize;

use super::report::Comparison;
use crate::fault::Refusal;

/// Most requirements of a comparison.
pub const REQUIREMENTS_MAX: usize = 64;

/// Something to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    text: String,
    figure: &'static Figure,
    at_least: bool,
    bound: f64,
}

/// A requirement, held against a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// As it was written.
    pub requirement: String,
    /// What was measured; none where nothing was.
    pub value: Option<f64>,
    /// Whether it holds.
    pub met: bool,
}

/// A figure to ask for.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    of: Kind,
    value: fn(&Comparison) -> Option<f64>,
}

impl PartialEq for Figure {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What a figure depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Rankings to a depth.
    Ranking,
    /// Rankings to a depth, and judgements.
    Judgements,
    /// Neither.
    Other,
}

const FIGURES: &[Figure] = &[
    Figure { name: "overlap", of: Kind::Ranking, value: |all| Some(all.likeness?.overlap) },
    Figure { name: "rbo", of: Kind::Ranking, value: |all| Some(all.likeness?.rbo) },
    Figure { name: "kendall_tau", of: Kind::Ranking, value: |all| Some(all.likeness?.kendall_tau) },
    Figure { name: "context_overlap", of: Kind::Other, value: |all| Some(all.likeness?.context_overlap) },
    Figure { name: "ndcg", of: Kind::Judgements, value: |all| Some(all.judged.as_ref()?.ndcg.b) },
    Figure {
        name: "ndcg_delta",
        of: Kind::Judgements,
        value: |all| Some(all.judged.as_ref()?.ndcg_delta.mean),
    },
    Figure {
        name: "ndcg_delta_low",
        of: Kind::Judgements,
        value: |all| Some(all.judged.as_ref()?.ndcg_delta.low),
    },
    Figure { name: "recall", of: Kind::Judgements, value: |all| Some(all.judged.as_ref()?.recall.b) },
    Figure {
        name: "recall_delta",
        of: Kind::Judgements,
        value: |all| Some(all.judged.as_ref()?.recall_delta.mean),
    },
    Figure {
        name: "recall_delta_low",
        of: Kind::Judgements,
        value: |all| Some(all.judged.as_ref()?.recall_delta.low),
    },
    Figure { name: "p50_ratio", of: Kind::Other, value: |all| all.likeness.map(|_| all.latency_ratio.p50) },
    Figure { name: "p95_ratio", of: Kind::Other, value: |all| all.likeness.map(|_| all.latency_ratio.p95) },
    Figure { name: "p99_ratio", of: Kind::Other, value: |all| all.likeness.map(|_| all.latency_ratio.p99) },
    Figure { name: "degraded", of: Kind::Other, value: |all| Some(count(all.degraded.b)) },
    Figure { name: FAILED, of: Kind::Other, value: |all| Some(count(all.failed)) },
];

const FAILED: &str = "failed";

#[expect(clippy::cast_precision_loss, reason = "at most QUESTIONS_MAX")]
fn count(questions: usize) -> f64 {
    questions as f64
}

impl Requirement {
    /// Reads requirements on rankings of `depth` documents; an unknown figure is refused with the
    /// known ones.
    pub fn parse_all(texts: &[String], depth: usize) -> Result<Vec<Self>, Refusal> {
        if texts.len() > REQUIREMENTS_MAX {
            return Err(refuse(&format!("at most {REQUIREMENTS_MAX} requirements can be made")));
        }
        let mut all = texts.iter().map(|text| Self::parse(text, depth)).collect::<Result<Vec<_>, _>>()?;
        if !all.is_empty() && all.iter().all(|requirement| requirement.figure.name != FAILED) {
            all.push(Self::parse("failed<=0", depth)?);
        }
        Ok(all)
    }

    fn parse(text: &str, depth: usize) -> Result<Self, Refusal> {
        let (operator, at_least) = if text.contains(">=") { (">=", true) } else { ("<=", false) };
        let Some((named, number)) = text.split_once(operator) else {
            return Err(refuse(&format!(
                "'{text}' is no requirement; write one like overlap@{depth}>=0.8 or p95_ratio<=1.5"
            )));
        };
        let bound: f64 = number
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| refuse(&format!("'{text}': '{}' is not a number", number.trim())))?;
        let (name, asked_depth) = match named.trim().split_once('@') {
            Some((name, asked)) => (name, Some(asked)),
            None => (named.trim(), None),
        };
        let figure = FIGURES.iter().find(|figure| figure.name == name).ok_or_else(|| {
            let known: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
            refuse(&format!("'{text}': unknown figure '{name}'; known: {}", known.join(", ")))
        })?;
        match asked_depth {
            Some(_) if figure.of == Kind::Other => Err(refuse(&format!("'{text}': {name} has no depth"))),
            Some(asked) if asked.parse() != Ok(depth) => Err(refuse(&format!(
                "'{text}': the first {depth} documents are compared; compare as many as you require with --top-k"
            ))),
            _ => Ok(Self { text: text.trim().to_owned(), figure, at_least, bound }),
        }
    }

    /// Whether it takes judgements to tell.
    pub fn needs_judgements(&self) -> bool {
        self.figure.of == Kind::Judgements
    }

    /// Holds it against a comparison.
    pub fn check(&self, comparison: &Comparison) -> Checked {
        let value = (self.figure.value)(comparison);
        let met =
            value.is_some_and(|value| if self.at_least { value >= self.bound } else { value <= self.bound });
        Checked { requirement: self.text.clone(), value, met }
    }
}

impl Checked {
    /// Says what does not hold, in a few words.
    pub fn broken(&self) -> Option<String> {
        let measured = match self.value {
            Some(value) => format!("measured {value:.4}"),
            None => "not measured".to_owned(),
        };
        (!self.met).then(|| format!("{} does not hold: {measured}", self.requirement))
    }
}

impl Comparison {
    /// The comparison with what became of requirements.
    #[must_use]
    pub fn held_against(self, requirements: &[Requirement]) -> Self {
        let requirements = requirements.iter().map(|requirement| requirement.check(&self)).collect();
        Self { requirements, ..self }
    }

    /// What does not hold, a line each.
    pub fn broken(&self) -> Vec<String> {
        self.requirements.iter().filter_map(Checked::broken).collect()
    }
}

fn refuse(message: &str) -> Refusal {
    Refusal::invalid("invalid_requirement", "require", format!("--require {message}"))
}
