//! Tests with real processes: the `millrace` binary as operators, clients and attackers meet it.
//!
//! ```text
//! testbed: a small network on free ports, killed when its test ends
//!   ├─ cli       help, wrong usage, wrong configurations
//!   ├─ network   an operator's first day, on the command line alone
//!   ├─ addresses  host names, IPv6, several interfaces
//!   ├─ bad_days  what goes wrong while a network is started, stopped and moved
//!   ├─ proofs    made by a network, checked without one
//!   ├─ accounts  opened while the network runs
//!   ├─ envelopes transactions of several packets
//!   ├─ feeds     what happened on a chain, and what is submitted twice
//!   ├─ reservations  set aside, settled and swapped at full load, and a power cut
//!   ├─ members   validators that come and go, under load and power cuts
//!   ├─ partitions  connections that are cut, restored and bad
//!   ├─ clocks_and_disks  clocks that jump, and disks that are slow
//!   ├─ storms    kills and pauses at random, at full load without a break
//!   ├─ rebuild   a network whose validators are gone goes on as another one
//!   ├─ alarms    raised, silenced, and ringing again
//!   ├─ devices   signatures on a GPU, and a driver that dies, hangs or is not there
//!   ├─ recovery  kill -9 of one and of all
//!   ├─ states    validators that fetch a state, because nobody keeps the blocks that they need
//!   ├─ scrubbing  bytes that rot on a disk
//!   ├─ releases  directories of earlier releases
//!   ├─ archive  what is pruned is audited and proved out of an archive
//!   ├─ service   under a service manager: signals, what is told, what is forbidden
//!   ├─ load      a load whose validators go away, or that somebody else disturbs
//!   ├─ gateway   HTTP, over both hosts, good input and bad
//!   ├─ hostile   bad input on every port
//!   ├─ byzantine a member of the network that has gone bad
//!   ├─ attacks   what others wait while somebody attacks
//!   └─ bench     the benchmark, small, killed and interrupted
//! ```
//!
//! They wait for what must happen, never for a time; a slow machine makes them slow, not red.

// Without the attributes the lints take the helpers for production code.
#[cfg(test)]
mod testbed;

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod addresses;
#[cfg(test)]
mod alarms;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod attestations;
#[cfg(test)]
mod backups;
#[cfg(test)]
mod bad_days;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod byzantine;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod clocks_and_disks;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod envelopes;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod epochs;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod governance;
#[cfg(test)]
mod guides;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod load;
#[cfg(test)]
mod members;
#[cfg(test)]
mod network;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod reservations;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod scrubbing;
#[cfg(test)]
mod service;
#[cfg(test)]
mod states;
#[cfg(test)]
mod storms;
