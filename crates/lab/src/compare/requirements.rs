//! Requirements that a comparison must satisfy before a generation may serve.
//!
//! A requirement is `FIGURE>=NUMBER` or `FIGURE<=NUMBER`. A figure of rankings may name its depth
//! (`overlap@10`); it must be the depth that is compared. A figure that was not measured satisfies no
//! requirement. If anything is required, no question may fail, unless `failed` has a bound of its own.

use super::report::{CheckedRequirement, GenerationComparison};
use contexture_core::fault::Refusal;

/// Most requirements of a comparison.
pub const REQUIREMENTS_MAX: usize = 64;

/// A bound on a figure of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonRequirement {
    text: String,
    figure: &'static ComparisonFigure,
    at_least: bool,
    bound: f64,
}

/// A figure that may be required.
#[derive(Debug)]
struct ComparisonFigure {
    name: &'static str,
    depends_on: FigureDependency,
    value: fn(&GenerationComparison) -> Option<f64>,
}

// By name, because function pointers have no meaningful equality.
impl PartialEq for ComparisonFigure {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What a figure depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FigureDependency {
    /// Rankings to a depth.
    Ranking,
    /// Rankings to a depth, and judgements.
    Judgements,
    /// Neither.
    Other,
}

/// All figures that may be required.
const FIGURES: &[ComparisonFigure] = &[
    ComparisonFigure {
        name: "overlap",
        depends_on: FigureDependency::Ranking,
        value: |all| Some(all.likeness?.overlap),
    },
    ComparisonFigure {
        name: "rbo",
        depends_on: FigureDependency::Ranking,
        value: |all| Some(all.likeness?.rbo),
    },
    ComparisonFigure {
        name: "kendall_tau",
        depends_on: FigureDependency::Ranking,
        value: |all| Some(all.likeness?.kendall_tau),
    },
    ComparisonFigure {
        name: "context_overlap",
        depends_on: FigureDependency::Other,
        value: |all| Some(all.likeness?.context_overlap),
    },
    ComparisonFigure {
        name: "ndcg",
        depends_on: FigureDependency::Judgements,
        // `b` is the one that may come to serve, so an absolute bound is on `b`.
        value: |all| Some(all.judged.as_ref()?.ndcg.b),
    },
    ComparisonFigure {
        name: "ndcg_delta",
        depends_on: FigureDependency::Judgements,
        value: |all| Some(all.judged.as_ref()?.ndcg_delta.mean),
    },
    ComparisonFigure {
        name: "ndcg_delta_low",
        depends_on: FigureDependency::Judgements,
        value: |all| Some(all.judged.as_ref()?.ndcg_delta.low),
    },
    ComparisonFigure {
        name: "recall",
        depends_on: FigureDependency::Judgements,
        value: |all| Some(all.judged.as_ref()?.recall.b),
    },
    ComparisonFigure {
        name: "recall_delta",
        depends_on: FigureDependency::Judgements,
        value: |all| Some(all.judged.as_ref()?.recall_delta.mean),
    },
    ComparisonFigure {
        name: "recall_delta_low",
        depends_on: FigureDependency::Judgements,
        value: |all| Some(all.judged.as_ref()?.recall_delta.low),
    },
    ComparisonFigure {
        name: "p50_ratio",
        depends_on: FigureDependency::Other,
        // Where no question was answered the ratio is 1, but nothing was measured.
        value: |all| all.likeness.map(|_| all.latency_ratio.p50),
    },
    ComparisonFigure {
        name: "p95_ratio",
        depends_on: FigureDependency::Other,
        value: |all| all.likeness.map(|_| all.latency_ratio.p95),
    },
    ComparisonFigure {
        name: "p99_ratio",
        depends_on: FigureDependency::Other,
        value: |all| all.likeness.map(|_| all.latency_ratio.p99),
    },
    ComparisonFigure {
        name: "degraded",
        depends_on: FigureDependency::Other,
        value: |all| Some(question_count(all.degraded.b)),
    },
    ComparisonFigure {
        name: FAILED_FIGURE,
        depends_on: FigureDependency::Other,
        value: |all| Some(question_count(all.failed)),
    },
];

const FAILED_FIGURE: &str = "failed";

#[expect(clippy::cast_precision_loss, reason = "at most QUESTIONS_MAX")]
fn question_count(questions: usize) -> f64 {
    questions as f64
}

impl ComparisonRequirement {
    /// The requirement, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Parses requirements on rankings of `depth` documents. The refusal of an unknown figure lists the known
    /// ones.
    pub fn parse_all(texts: &[String], depth: usize) -> Result<Vec<Self>, Refusal> {
        if texts.len() > REQUIREMENTS_MAX {
            return Err(refuse_requirement(&format!("at most {REQUIREMENTS_MAX} requirements can be made")));
        }
        let mut all = texts.iter().map(|text| Self::parse(text, depth)).collect::<Result<Vec<_>, _>>()?;
        // Figures leave failed questions out. So without this bound a generation that fails most could pass.
        if !all.is_empty() && all.iter().all(|requirement| requirement.figure.name != FAILED_FIGURE) {
            all.push(Self::parse("failed<=0", depth)?);
        }
        Ok(all)
    }

    fn parse(text: &str, depth: usize) -> Result<Self, Refusal> {
        // Without either operator the split below fails, and the refusal shows the form.
        let (operator, at_least) = if text.contains(">=") { (">=", true) } else { ("<=", false) };
        let Some((named, number)) = text.split_once(operator) else {
            return Err(refuse_requirement(&format!(
                "'{text}' is no requirement; write one like overlap@{depth}>=0.8 or p95_ratio<=1.5"
            )));
        };
        // `parse` accepts NaN and infinity. Such a bound would always hold, or never.
        let bound: f64 =
            number.trim().parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| {
                refuse_requirement(&format!("'{text}': '{}' is not a number", number.trim()))
            })?;
        let (name, asked_depth) = match named.trim().split_once('@') {
            Some((name, asked)) => (name, Some(asked)),
            None => (named.trim(), None),
        };
        let figure = FIGURES.iter().find(|figure| figure.name == name).ok_or_else(|| {
            let known: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
            refuse_requirement(&format!("'{text}': unknown figure '{name}'; known: {}", known.join(", ")))
        })?;
        match asked_depth {
            Some(_) if figure.depends_on == FigureDependency::Other => {
                Err(refuse_requirement(&format!("'{text}': {name} has no depth")))
            }
            Some(asked) if asked.parse() != Ok(depth) => Err(refuse_requirement(&format!(
                "'{text}': the first {depth} documents are compared; compare as many as you require with --top-k"
            ))),
            _ => Ok(Self { text: text.trim().to_owned(), figure, at_least, bound }),
        }
    }

    /// Whether its figure needs judgements.
    pub fn needs_judgements(&self) -> bool {
        self.figure.depends_on == FigureDependency::Judgements
    }

    /// Checks it against a comparison.
    pub fn check(&self, comparison: &GenerationComparison) -> CheckedRequirement {
        let value = (self.figure.value)(comparison);
        let met =
            value.is_some_and(|value| if self.at_least { value >= self.bound } else { value <= self.bound });
        CheckedRequirement { requirement: self.text.clone(), value, met }
    }
}

impl GenerationComparison {
    /// The comparison with the results of these requirements.
    #[must_use]
    pub fn held_against(self, requirements: &[ComparisonRequirement]) -> Self {
        let requirements = requirements.iter().map(|requirement| requirement.check(&self)).collect();
        Self { requirements, ..self }
    }
}

fn refuse_requirement(message: &str) -> Refusal {
    Refusal::invalid("invalid_requirement", "require", format!("--require {message}"))
}
