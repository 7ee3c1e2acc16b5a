//! Prepared cuts, for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Committer, Next, Source};
use crate::batch::{Cut, Position};
use crate::error::Result;

/// Gives prepared cuts, one after the other, then ends.
#[derive(Debug)]
pub struct MemorySource {
    cuts: VecDeque<Cut>,
    commits: Arc<Commits>,
}

impl MemorySource {
    /// With these cuts, in this order.
    pub fn new(cuts: impl IntoIterator<Item = Cut>) -> Self {
        Self { cuts: cuts.into_iter().collect(), commits: Arc::default() }
    }

    /// What is committed, now and later.
    pub fn commits(&self) -> Arc<Commits> {
        Arc::clone(&self.commits)
    }
}

impl Source for MemorySource {
    fn next(&mut self) -> Result<Next> {
        Ok(self.cuts.pop_front().map_or(Next::End, Next::Cut))
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::clone(&self.commits) as Arc<dyn Committer>
    }
}

/// The commits of a `MemorySource`.
#[derive(Debug, Default)]
pub struct Commits(Mutex<Vec<Vec<Position>>>);

impl Commits {
    /// The positions of each commit, in order.
    pub fn all(&self) -> Vec<Vec<Position>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Committer for Commits {
    fn commit(&self, positions: &[Position], _last: bool) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(positions.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::TableId;

    #[test]
    fn cuts_come_in_order_and_commits_are_kept() {
        let position = Position { table: TableId(0), partition: 0, offset: 9 };
        let cut = Cut { positions: vec![position], ..Cut::default() };
        let mut source = MemorySource::new([cut, Cut::default()]);
        let (commits, committer) = (source.commits(), source.committer());
        assert!(matches!(source.next(), Ok(Next::Cut(cut)) if cut.positions == [position]));
        assert!(matches!(source.next(), Ok(Next::Cut(cut)) if cut.positions.is_empty()));
        assert!(matches!(source.next(), Ok(Next::End)));
        committer.commit(&[position], false).unwrap();
        assert_eq!(commits.all(), [vec![position]]);
    }
}
