//! Tokens, gates, and names that are not there.

use super::bench::*;

#[test]
fn the_token_goes_to_the_endpoint_and_nowhere_else() {
    let bench = Bench::with_model();
    bench
        .server
        .world()
        .repositories
        .get_mut("models/o/n")
        .expect("there")
        .private = Some("hf_secret".into());
    let error = bench.get("hf:o/n").expect_err("private");
    assert!(
        error.contains("it is private, which needs a token (HF_TOKEN)"),
        "{error}"
    );
    let mut settings = bench.settings();
    settings.token = Some("hf_wrong".into());
    let error = bench
        .hub_with(settings.clone())
        .resolve("hf:o/n", Path::new(""))
        .expect_err("wrong")
        .to_string();
    assert!(
        error.contains("does not accept the token (Invalid credentials in Authorization header)"),
        "{error}"
    );
    assert!(!error.contains("hf_wrong"), "{error}");
    bench.server.asked();
    settings.token = Some("hf_secret".into());
    bench
        .hub_with(settings)
        .resolve("hf:o/n", Path::new(""))
        .expect("allowed");
    let world = bench.server.world();
    let (mut endpoint, mut others) = (0, 0);
    for request in &world.log {
        match request.headers.get("authorization") {
            Some(token) => {
                assert!(!request.cdn, "the token went to {}", request.target);
                assert_eq!(token, "Bearer hf_secret");
                endpoint += 1;
            }
            None => {
                assert!(request.cdn, "no token for {}", request.target);
                others += 1;
            }
        }
    }
    assert!(endpoint == 9 && others == 1, "{endpoint} {others}");
}

#[test]
fn gated_says_where_to_ask() {
    let bench = Bench::with_model();
    bench
        .server
        .world()
        .repositories
        .get_mut("models/o/n")
        .expect("there")
        .gated = true;
    let error = bench.get("hf:o/n").expect_err("gated");
    let page = format!("{}/o/n", bench.server.address);
    assert!(
        error.contains("gated")
            && error.contains(&format!(
                "accept its conditions at {page}, then set HF_TOKEN"
            )),
        "{error}"
    );
    let mut settings = bench.settings();
    settings.token = Some("hf_mine".into());
    let error = bench
        .hub_with(settings)
        .resolve("hf:o/n", Path::new(""))
        .expect_err("gated")
        .to_string();
    assert!(
        error.contains(&format!("ask for access at {page}")),
        "{error}"
    );
}

#[test]
fn what_is_not_there_names_what_was_meant() {
    let bench = Bench::with_model();
    bench
        .server
        .add("datasets/o/rows", COMMIT, &[("train.csv", b"text,label\n")]);
    let error = bench.get("hf:o/nn").expect_err("no such");
    assert!(error.contains("has no model `o/nn`"), "{error}");
    let error = bench.get("hf:other/n").expect_err("no such");
    assert!(error.contains("did you mean `hf:o/n`?"), "{error}");
    let error = bench.get("hf:o/rows").expect_err("a data set");
    assert!(
        error.contains("there is a data set of that name, `hf:datasets/o/rows`"),
        "{error}"
    );
    let error = bench.get("hf:o/n@mian").expect_err("no branch");
    assert!(
        error.contains("no branch, tag or commit `mian`")
            && error.contains("did you mean `hf:o/n@main`?"),
        "{error}"
    );
    let error = bench.get("hf:o/n@v9").expect_err("no tag");
    assert!(error.contains("there are `main`"), "{error}");
    let error = bench
        .get(&format!("hf:o/n@{LATER}"))
        .expect_err("no commit");
    assert!(error.contains(LATER), "{error}");
    assert_eq!(bench.there(), [] as [&str; 0]);
}
