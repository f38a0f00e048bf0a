//! How well lines were understood, in the measures of the field.

use std::collections::BTreeMap;
use std::fmt;

use caly_actors::domain::{IntentKind, Wish};
use caly_actors::understand::model::Model;
use caly_actors::understand::{Surroundings, understand_by};

use super::data::Line;

/// What one line was taken for.
#[derive(Clone, Debug)]
pub struct Outcome {
    gold: IntentKind,
    accepted: Vec<IntentKind>,
    taken: IntentKind,
    confidence: f32,
    wish: Option<Wish>,
    script: String,
    text: String,
}

impl Outcome {
    /// By a model and the rules.
    pub fn of(model: Option<&Model<'_>>, line: &Line, accepted: Vec<IntentKind>) -> Self {
        let meant = understand_by(model, &line.text, Surroundings::default());
        let (taken, confidence, wish) = (meant.intent, meant.confidence, meant.wish);
        let (script, text) = (line.script.clone(), line.text.clone());
        Self { gold: line.intent, accepted, taken, confidence, wish, script, text }
    }

    /// Taken for what it is, or for what may be accepted.
    pub fn is_right(&self) -> bool {
        self.gold == self.taken || self.accepted.contains(&self.taken)
    }

    fn in_scope(&self) -> bool {
        self.gold != IntentKind::OutOfScope
    }

    /// How sure it is that the line is in scope.
    fn scope(&self) -> f32 {
        if self.taken == IntentKind::OutOfScope { 1.0 - self.confidence } else { self.confidence }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{:.2}\t{}", self.gold.as_str(), self.taken.as_str(), self.confidence, self.text)
    }
}

fn share<'a>(outcomes: impl Iterator<Item = &'a Outcome>, is: impl Fn(&Outcome) -> bool) -> f64 {
    let (count, hits) = outcomes.fold((0_u32, 0_u32), |(count, hits), one| (count + 1, hits + u32::from(is(one))));
    f64::from(hits) / f64::from(count.max(1))
}

/// Prints everything.
pub fn report(what: &str, outcomes: &[Outcome]) {
    let scope = |inside: bool| outcomes.iter().filter(move |one| one.in_scope() == inside);
    let right = Outcome::is_right;
    let (precise, mut f1) = by_intent(outcomes);
    let macro_f1 = f1.drain(..).fold((0.0, 0), |(sum, count), f1| (sum + f1, count + 1));
    println!("{what}: {} lines", outcomes.len());
    println!(
        "accuracy {:.3}, macro-F1 {:.3}",
        share(outcomes.iter(), right),
        macro_f1.0 / f64::from(macro_f1.1.max(1))
    );
    let oos = |one: &Outcome| one.taken == IntentKind::OutOfScope;
    println!(
        "out of scope: recall {:.3}, in-scope lines rejected {:.3}, AUROC {:.3}",
        share(scope(false), |one| oos(one) || one.is_right()),
        share(scope(true), |one| oos(one) && !one.is_right()),
        auroc(outcomes),
    );
    println!("calibration error {:.3}", calibration_error(outcomes));
    let swapped = outcomes.iter().filter(|one| {
        matches!((one.gold, one.taken), (IntentKind::Affirm, IntentKind::Deny) | (IntentKind::Deny, IntentKind::Affirm))
    });
    println!("yes taken for no or no for yes: {}", swapped.count());
    let mut scripts: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        scripts.entry(&outcome.script).or_default().push(outcome);
    }
    for (script, lines) in scripts {
        let all = share(lines.iter().copied(), right);
        let inside = share(lines.iter().copied().filter(|one| one.in_scope()), right);
        println!("{script}: {} lines, accuracy {all:.3}, in scope {inside:.3}", lines.len());
    }
    print!("{precise}");
    sureness(outcomes);
}

/// How often a call that acts on a wish by itself is right to do so, by how sure it must be: where the threshold of
/// `actors/src/call/steering.rs` comes from. Not every line of an intent is such a wish, so fewer are found than could be.
fn sureness(outcomes: &[Outcome]) {
    let wishes = [
        ("person", IntentKind::TalkToHuman, &[Wish::Person][..]),
        ("no calls, wrong number", IntentKind::DoNotCall, &[Wish::NoCalls, Wish::WrongNumber]),
    ];
    for (what, intent, wishes) in wishes {
        for least in [0.5, 0.6, 0.7, 0.8, 0.9] {
            let acts = |one: &&Outcome| one.confidence >= least && one.wish.is_some_and(|wish| wishes.contains(&wish));
            let precision = share(outcomes.iter().filter(acts), Outcome::is_right);
            let (gold, others) = (|one: &&Outcome| one.gold == intent, |one: &&Outcome| one.gold != intent);
            let (found, wrongly) = (
                share(outcomes.iter().filter(gold), |one| acts(&one)),
                share(outcomes.iter().filter(others), |one| acts(&one)),
            );
            println!(
                "wish for {what} from {least:.1} on: precision {precision:.3}, {found:.3} found, {wrongly:.4} of the others"
            );
        }
    }
}

fn by_intent(outcomes: &[Outcome]) -> (String, Vec<f64>) {
    let (mut table, mut f1) = (String::new(), Vec::new());
    for intent in IntentKind::ALL {
        let taken = |one: &Outcome| if one.is_right() { one.gold } else { one.taken };
        let count = |is: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|one| is(one)).count() as f64;
        let both = count(&|one| one.gold == intent && taken(one) == intent);
        let (gold, answered) = (count(&|one| one.gold == intent), count(&|one| taken(one) == intent));
        if gold > 0.0 {
            f1.push(2.0 * both / (gold + answered));
            let (precision, recall) = (both / answered.max(1.0), both / gold);
            table.push_str(&format!(
                "  {:24} {gold:5} lines, precision {precision:.3}, recall {recall:.3}\n",
                intent.as_str()
            ));
        }
    }
    (table, f1)
}

/// How often a line in scope looks more in scope than one out of it.
fn auroc(outcomes: &[Outcome]) -> f64 {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by(|one, other| one.scope().total_cmp(&other.scope()));
    let inside = outcomes.iter().filter(|one| one.in_scope()).count() as f64;
    let outside = outcomes.len() as f64 - inside;
    let ranks: f64 = (1..).zip(&sorted).filter(|(_, one)| one.in_scope()).map(|(rank, _)| f64::from(rank)).sum();
    (ranks - inside * (inside + 1.0) / 2.0) / (inside * outside).max(1.0)
}

/// Mean distance between confidence and accuracy, over ten bins of confidence.
fn calibration_error(outcomes: &[Outcome]) -> f64 {
    let bins = (0..10).map(|bin| {
        let here = || outcomes.iter().filter(move |one| ((one.confidence * 10.0) as usize).min(9) == bin);
        let (count, sum) = here().fold((0.0, 0.0), |(count, sum), one| (count + 1.0, sum + f64::from(one.confidence)));
        if count > 0.0 { (sum / count - share(here(), Outcome::is_right)).abs() * count } else { 0.0 }
    });
    bins.sum::<f64>() / outcomes.len().max(1) as f64
}
