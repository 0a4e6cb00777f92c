//! Another certificate for the key of a validator.

use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use net::Identity;

use super::Member;
use crate::config::Config;
use crate::disk::put_in_place;
use crate::validator::certificate::DAY;
use crate::validator::clock::Clock;

/// A certificate is valid from so long ago: clocks differ.
const BEFORE: Duration = Duration::from_secs(3_600);

/// Makes a certificate for the key of a validator that is valid for so many days, and puts it in the place of the one
/// that its configuration names. The answer is its end, in seconds since the Unix epoch.
///
/// # Errors
/// The configuration cannot be used, or the file cannot be written; then the old certificate stays.
pub fn renew(member: &Member, days: u32) -> Result<u64> {
    let config = Config::load(&member.config_file())?;
    let (now, until) = (Clock::start().moment().unix_ms / 1_000, u64::from(days) * DAY);
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let renewed = config.identity.renewed(&member.name, at(now) - BEFORE..at(now + until))?;
    let listed = config.index.and_then(|index| config.genesis.validators().get(usize::from(index)));
    let of_genesis = listed.map(|of| net::Fingerprint(of.certificate_fingerprint));
    let is_known =
        |fingerprint| config.identity.is_known_by(fingerprint) && !renewed.is_known_by(fingerprint);
    anyhow::ensure!(
        !of_genesis.is_some_and(is_known),
        "the genesis of this network has the fingerprint of the whole certificate of {}: no other one can take its place",
        member.name
    );
    write(&config, &renewed)?;
    Ok(now + until)
}

/// The new file takes the place of the old one at once, so that no start finds half of it.
fn write(config: &Config, renewed: &Identity) -> Result<()> {
    let file = &config.certificate_file;
    let new = file.with_extension("new");
    renewed.save_certificate(&new)?;
    let put = File::open(&new).and_then(|new| new.sync_all()).and_then(|()| put_in_place(&new, file));
    put.with_context(|| format!("cannot put a certificate at {}", file.display()))
}
