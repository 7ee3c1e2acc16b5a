//! The steps of a walk, decided when the pipeline starts (SEMANTICS 2.3): from a new row up to its driving row, then down
//! to the other event tables in the order of the query, then to the dimensions.

use crate::plan::Plan;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// From an event table to its parent.
    Up(usize),
    /// The driving row is known: the rows of these event tables must be close enough to it in time.
    Window(Vec<usize>),
    /// What the ON clause of an event table to which the walk came from below says besides its keys.
    On(usize),
    /// From the parent to an event table.
    Down(usize),
    /// A look-up in a dimension.
    Lookup(usize),
}

/// The steps from each event table.
#[derive(Clone, Debug)]
pub struct Steps {
    /// By event table: from its new rows to combinations of event rows.
    pub events: Vec<Vec<Step>>,
    /// From combinations of event rows through all look-ups.
    pub lookups: Vec<Step>,
    /// By event table: both, one after the other.
    pub all: Vec<Vec<Step>>,
}

impl Steps {
    /// The steps of a plan.
    pub fn of(plan: &Plan) -> Self {
        let events: Vec<Vec<Step>> = (0..plan.events.len()).map(|event| from_event(plan, event)).collect();
        let lookups: Vec<Step> = (0..plan.lookups.len()).map(Step::Lookup).collect();
        let all = events.iter().map(|steps| [&steps[..], &lookups[..]].concat()).collect();
        Self { events, lookups, all }
    }
}

fn from_event(plan: &Plan, start: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut path = vec![start];
    let mut at = start;
    while let Some(join) = &plan.events[at].join {
        steps.push(Step::Up(at));
        at = join.parent;
        path.push(at);
    }
    let timed: Vec<usize> = path.iter().copied().filter(|&event| event != 0).collect();
    if !timed.is_empty() {
        steps.push(Step::Window(timed));
    }
    for (event, table) in plan.events.iter().enumerate().skip(1) {
        let has_residual = table.join.as_ref().is_some_and(|join| join.residual.is_some());
        if !path.contains(&event) {
            steps.push(Step::Down(event));
        } else if has_residual {
            steps.push(Step::On(event));
        }
    }
    steps
}
