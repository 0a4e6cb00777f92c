use clap::Parser as _;

use super::*;

fn query(words: &str) -> Result<QueryArgs, clap::Error> {
    let cli = Cli::try_parse_from(["millrace", "query"].into_iter().chain(words.split(' ')))?;
    let Command::Query(args) = cli.command else { panic!("{words}: another command") };
    Ok(args)
}

#[test]
fn a_query_takes_its_target_before_the_question_and_after_it() {
    let one = format!(
        "--endpoint 127.0.0.1:7401 --fingerprint {} --network-id {}",
        "5f".repeat(32),
        "77".repeat(32)
    );
    let fingerprint = "ab".repeat(32);
    for question in ["chain 4", "status", &format!("attestation 2 {fingerprint}"), "feed 1 --limit 3"] {
        for (target, expected) in [
            ("--network /tmp/mill", Ok(())),
            ("--network /tmp/mill --validator 2", Ok(())),
            (&*one, Ok(())),
            ("--json", Err(WhomError::Missing)),
            ("--endpoint 127.0.0.1:7401", Err(WhomError::Missing)),
            ("--validator 2", Err(WhomError::NoNetwork)),
            ("--network /tmp/mill --validator elm", Ok(())),
            ("--network /tmp/mill --endpoint 127.0.0.1:7401", Ok(())),
            (&*format!("--network /tmp/mill {one}"), Err(WhomError::Both)),
            ("--network /tmp/mill --endpoint 127.0.0.1:7401 --validator 2", Err(WhomError::Twice)),
            (&*format!("--network /tmp/mill --fingerprint {fingerprint}"), Err(WhomError::NoEndpoint)),
        ] {
            let (before, after) = (format!("{target} {question}"), format!("{question} {target}"));
            let [before, after] = [before, after].map(|words| query(&words).unwrap());
            assert_eq!(before.whom.check(), expected, "{target} {question}");
            let told = |args: &QueryArgs| format!("{args:?}");
            assert_eq!(told(&before), told(&after), "{target} {question}");
        }
    }
    let apart = query("--network /tmp/mill chain 4 --validator 2").unwrap().whom;
    assert_eq!((apart.check(), apart.validator), (Ok(()), Some(Named::Index(2))));
    let Question::Attestation { fingerprint: Some(found), .. } =
        query(&format!("{one} attestation 2 {fingerprint}")).unwrap().question
    else {
        panic!("it has a fingerprint")
    };
    assert_eq!(found.to_string(), fingerprint);
}
