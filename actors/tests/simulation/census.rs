//! Which faults the calls of a run had. One that no call has is not tested, whatever the code says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Every fault there is; each must come up in a run of the usual length.
const FAULTS: [&str; 53] = [
    "actions panic",
    "actions panic at an event",
    "an answer breaks off silent",
    "an answer is cancelled",
    "an answer is cut by its limit before a word",
    "an answer is cut by its limit in its words",
    "another engine is there",
    "call panics",
    "call panics at an event",
    "database hangs",
    "database is away beyond the end",
    "database is away when the call ends",
    "database loses its answers",
    "database refuses",
    "database returns in the call",
    "engine answers 429",
    "engine answers 429 in its words",
    "engine does not open",
    "engine drops its socket after some event",
    "engine drops its socket before an answer",
    "engine drops its socket in its words",
    "engine hangs",
    "engine is known to hang",
    "engine opens with 429",
    "engine stalls",
    "flood of keys and marks",
    "flood of sound",
    "flood of tool calls",
    "flood of turns",
    "flood of words",
    "flood on the line",
    "intent panics",
    "intent panics at an event",
    "late news of an engine",
    "marks are late by seconds",
    "marks are late",
    "marks come twice",
    "marks get lost",
    "marks never come",
    "marks of cleared sound come",
    "media panics",
    "media panics at an event",
    "neither database nor disk takes anything",
    "no stop",
    "realtime panics",
    "realtime panics at an event",
    "session expired",
    "socket dies unnoticed",
    "socket drops",
    "the end of an answer is not told",
    "transcript is lost",
    "transcripts out of order",
    "words away from their sound",
];

thread_local! {
    static CALLS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts a call with the faults it had.
pub fn count(faults: &BTreeSet<&'static str>) {
    CALLS.with(|calls| {
        let mut calls = calls.borrow_mut();
        for fault in faults {
            assert!(FAULTS.contains(fault), "{fault:?} is missing in the list of faults");
            *calls.entry(*fault).or_default() += 1;
        }
    });
}

/// How many calls had each fault, and those that too few had: fewer than one in 400.
pub fn of(calls: u64) -> (String, Vec<&'static str>) {
    CALLS.with(|counts| {
        let counts = counts.borrow();
        let of = |fault: &str| counts.get(fault).copied().unwrap_or(0);
        let told = FAULTS.iter().map(|fault| format!("{:>7} {fault}", of(fault))).collect::<Vec<_>>().join("\n");
        (told, FAULTS.into_iter().filter(|fault| of(fault) * 400 < calls).collect())
    })
}
