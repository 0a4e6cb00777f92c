use super::*;

const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const SIG: &str = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

fn run(lines: &[String]) -> Result<bool> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vectors.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    check(&file, None, false)
}

fn line(sig: &str, expect: &str) -> String {
    format!(r#"{{"key":"{KEY}","msg":"","sig":"{sig}","expect":{expect}}}"#)
}

#[test]
fn a_good_vector_passes_and_a_wrong_expectation_does_not() {
    // RFC 8032, 7.1, test 1.
    assert!(run(&[line(SIG, "true"), line(SIG, "null")]).unwrap());
    assert!(!run(&[line(SIG, "false")]).unwrap());
    let flipped = format!("f{}", &SIG[1..]);
    assert!(run(&[line(&flipped, "false")]).unwrap());
    assert!(!run(&[line(&flipped, "true")]).unwrap());
}

#[test]
fn a_signature_of_another_length_is_refused() {
    assert!(run(&[line(&SIG[2..], "false")]).unwrap());
    assert!(!run(&[line("", "true")]).unwrap());
}

#[test]
fn what_is_no_vector_is_an_error_with_its_line() {
    let error = run(&[line(SIG, "true"), "{}".into()]).unwrap_err();
    assert!(format!("{error:#}").contains("line 2"), "{error:#}");
    assert!(run(&[line("zz", "true")]).is_err());
    assert!(run(&[]).is_err());
}

#[test]
fn the_gpu_is_a_backend_that_can_be_named() {
    assert!(matches!(KernelBackend::named("gpu"), Ok(KernelBackend::Gpu)));
    assert!(matches!(KernelBackend::named("portable"), Ok(KernelBackend::Cpu(_))));
    assert!(KernelBackend::named("abacus").is_err());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vectors.jsonl");
    let judged = |expect: &str| {
        fs::write(&file, line(SIG, expect)).unwrap();
        check(&file, Some(KernelBackend::Gpu), true)
    };
    // Without a device it is an error, which says what to install.
    match gpu::open() {
        Ok(_) => assert!(judged("true").unwrap() && !judged("false").unwrap()),
        Err(_) => assert!(format!("{:#}", judged("true").unwrap_err()).contains("Vulkan")),
    }
}
