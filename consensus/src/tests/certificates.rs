//! Which certificates are broadcast.

use super::cluster::simulate;

/// Everybody broadcasting every certificate would be eight messages a view.
#[test]
fn what_everybody_can_make_from_the_votes_is_seldom_sent() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(60).await;
        let (sent, views) = (cluster.network.certificates(), cluster.last(0) as usize);
        assert!(sent > 0 && sent < 3 * views, "{sent} certificates in {views} views");
        cluster.assert_agreement();
    });
}

#[test]
fn without_a_delay_every_certificate_is_sent() {
    simulate(4, async |cluster| {
        cluster.config.timing.certificate_delay = std::time::Duration::ZERO;
        cluster.start_all();
        cluster.wait_past(60).await;
        assert!(cluster.network.certificates() > 6 * 60);
    });
}

/// Without the votes of 0, and with 1 gone, validator 3 cannot make a certificate: it gets them from 0 and 2.
#[test]
fn one_that_misses_votes_follows_by_the_certificates_of_others() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(5).await;
        cluster.crash(1);
        cluster.network.lose_votes(0, 3);
        let from = cluster.last(0);
        cluster.wait(3, "certificates", |seen| seen.last() > from + 20).await;
        cluster.assert_agreement();
    });
}
