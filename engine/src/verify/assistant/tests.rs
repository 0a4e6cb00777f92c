use kernels::ed25519::{Entry, SigningKey};
use proptest::prelude::*;

use super::*;

/// An assistant that takes so many, and answers with this.
#[derive(Clone, Debug)]
struct Told {
    taken: usize,
    answer: Option<Vec<bool>>,
}

impl Assistant for Told {
    fn offer(&self, _: &[Item<'_>]) -> Option<Box<dyn Answer>> {
        Some(Box::new(self.clone()))
    }
}

impl Answer for Told {
    fn taken(&self) -> usize {
        self.taken
    }

    fn wait(self: Box<Self>) -> Option<Vec<bool>> {
        self.answer
    }
}

struct Signed {
    key: [u8; 32],
    message: [u8; 40],
    signature: [u8; 64],
}

/// Signatures of which these are good.
fn signed(good: &[bool]) -> Vec<Signed> {
    let key = SigningKey::from_seed([5; 32]);
    let one = |(number, good): (usize, &bool)| {
        let (message, mut signature) = ([number as u8; 40], key.sign(&[number as u8; 40]));
        signature[40] ^= u8::from(!good);
        Signed { key: key.public_key(), message, signature }
    };
    good.iter().enumerate().map(one).collect()
}

/// The verdicts, and who gave them.
fn verdicts(good: &[bool], groups: &[Group], assistant: Option<&Told>) -> (Vec<bool>, Decided) {
    let signed = signed(good);
    let entries: Vec<Entry<'_>> =
        signed.iter().map(|Signed { key, message, signature }| Entry { key, message, signature }).collect();
    let items: Vec<Item<'_>> = entries.iter().map(Item::from).collect();
    let mut verdicts = vec![false; good.len()];
    let by = (Backend::best(), assistant.map(|assistant| assistant as &dyn Assistant));
    let decided = decide(by, &items, groups, [3; 32], &mut verdicts);
    (verdicts, decided)
}

fn company() -> impl Strategy<Value = Company> {
    prop_oneof![Just(Company::Shared), Just(Company::Apart), Just(Company::Alone)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Late, lost, short, long, of some or of all: the verdicts are those of the CPU.
    #[test]
    fn verdicts_are_those_of_the_cpu_whatever_an_assistant_leaves_open(
        good in prop::collection::vec(prop::bool::weighted(0.8), 0..120),
        companies in prop::collection::vec(company(), 1..4),
        taken in 0usize..140,
        open in prop::collection::vec(prop::bool::weighted(0.3), 140),
        answers in prop::bool::weighted(0.8),
        longer in prop::bool::weighted(0.1),
    ) {
        let part = good.len().div_ceil(companies.len());
        let mut left = good.len();
        let groups: Vec<Group> = companies
            .iter()
            .map(|company| {
                let entries = part.min(left);
                left -= entries;
                Group { entries, company: *company }
            })
            .collect();
        let of = taken.min(good.len());
        let mut accepted: Vec<bool> = (0..of).map(|at| good[at] && !open[at]).collect();
        accepted.extend(longer.then_some(true));
        let count = accepted.iter().filter(|accepted| **accepted).count() as u64;
        let told = Told { taken, answer: answers.then_some(accepted) };
        let (verdicts, decided) = verdicts(&good, &groups, Some(&told));
        prop_assert_eq!(&verdicts, &good);
        prop_assert_eq!(decided.assisted, if answers && !longer && of > 0 { count } else { 0 });
    }
}

#[test]
fn what_an_assistant_accepts_costs_the_cpu_nothing() {
    let good = [true; 50];
    let groups = [Group { entries: 50, company: Company::Shared }];
    let told = Told { taken: 30, answer: Some(vec![true; 30]) };
    let (verdicts, Decided { assisted, effort }) = verdicts(&good, &groups, Some(&told));
    assert_eq!((verdicts, assisted), (vec![true; 50], 30));
    assert_eq!(effort.combined + effort.alone, 20);
}
