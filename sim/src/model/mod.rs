//! Every reachable state of a small network: the rules of voting and fetching, checked without the code that
//! implements them.
//!
//! ```text
//!   Rules ──▶ explore ──▶ Report: every state holds       property::check looks at each state:
//!                    └──▶ Counterexample: shortest way      Agreement · Held · NeverStuck
//!
//!   step: what an adversary may let happen next            guards: what a validator may do
//!   fair: what happens once faults end                     state: 128 bits
//! ```
//!
//! # Properties
//! With `n = 4` and `f = 1`, in every reachable state, also after power cuts:
//! - **Agreement.** Any two finalized blocks lie on one branch: `branches with a finalized tip <= 1`.
//! - **Held.** For each finalized block, for its ancestors, and for each body of their cuts:
//!   `honest validators that hold it durably >= f + 1`.
//! - **NeverStuck.** If faults end here, the Byzantine validator is silent and the fair continuation runs, a new block
//!   is finalized in the first further view: `further views <= 1`. (Leaders of further views are honest; the faulty
//!   one costs a time-out at its turn.)
//!
//! The search with all rules visits 1,684,448 states (after renaming honest validators), at most 19 steps deep, and
//! finds the three properties in each. A test switches each [`Rule`] off and expects a counterexample. Two rules are
//! spared: neither [`Rule::VerifyWaitsForBodies`] nor [`Rule::CertifyWaitsForAncestors`] is needed for a property
//! above.
//!
//! # What is modelled
//! - Three honest validators, one Byzantine. It leads the first two views, and in each proposes one or both of two
//!   conflicting blocks, to any validators. It is the author of the stream, with two branches, and gives any body to
//!   any validator at any time, or to none. It votes for everything, so two honest votes make a certificate, and it
//!   hands certificates to any validator at any time, or to none. An honest leader of these views would do less.
//! - A cut takes one batch of that stream or of its other branch, and a child's cut extends its parent's.
//! - Each honest validator: what it holds (in memory, or durably), what it voted, what it certified, and the
//!   certificates that it acted on. Its view follows from these. It times out at any moment.
//! - A power cut hits all honest validators at any moment, any number of times. Memory is lost; the journal and the
//!   vote log stay. Votes in flight are lost: the Byzantine validator alone may still know them.
//! - The fair continuation: missing certificates, blocks and bodies are fetched from honest validators only; votes to
//!   nullify the current view are sent again, other votes are not; consensus serves a notarization only once it is
//!   certified; three honest leaders follow.
//!
//! # What is left out, and why that is sound
//! - *Delivery is one step with its use.* A block and its bodies arrive when `verify` or `certify` answers, and the
//!   certificates of the first view when a validator acts on them. Votes only accumulate, and the Byzantine validator
//!   can send each certificate, block and body at any moment, so an earlier delivery is the same as a later one as
//!   long as nothing is done with it. What remains is a certificate that is delivered and then not used before faults
//!   end: `fair` therefore tries every set of certificates that could have been delivered.
//! - *A sync without a certify is not a state.* A block that is durable but not certified helps its validator and its
//!   fetching peers exactly as much as one in memory. A power cut then costs nothing, as if it had not happened.
//! - *Certify and the vote to finalize are one step.* A validator that certifies and does not vote is one that has
//!   nullified first, which is modelled.
//! - *One power cut at a time for all.* A cut at a single validator loses no more than a cut at all of them.
//! - *The other honest streams, signatures, lag of roots, limits, pruning and the recovery of a lost log* do not take
//!   part in who may vote. The simulator covers them.
//! - *Two views.* A rule looks at a block, its parent and the views between; longer branches repeat that. This is an
//!   argument, not a proof: what needs three Byzantine views in a row is left to the simulator.
//!
//! The crate stateright would check the same model. It brings a web server and a dozen crates; the search is one page.

mod fair;
mod guards;
mod property;
mod rules;
mod search;
mod state;
mod step;

pub use property::Property;
pub use rules::{Rule, Rules};
pub use search::{Counterexample, Report, explore};

#[cfg(test)]
mod tests;
