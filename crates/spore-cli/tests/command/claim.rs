//! `spore claim`, and nodes that start with what it wrote.

use crate::support::{Corner, stderr, wait};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn make_keys(corner: &Corner) {
    for kind in ["cluster", "release"] {
        assert!(corner.run(&["key", "new", kind]).status.success());
    }
}

#[test]
fn a_claimed_node_is_a_member_from_its_first_start_and_in_its_wifi() {
    let corner = Corner::new();
    make_keys(&corner);
    fs::create_dir(corner.path().join("kitchen")).unwrap();
    fs::write(corner.path().join("wifi"), "home-password\n").unwrap();
    fs::set_permissions(corner.path().join("wifi"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(corner.path().join("air"), "home:home-password\n").unwrap();
    let file = "kitchen/settings.flash";
    let claim = ["claim", file, "--wifi", "home", "--password-file", "wifi"];
    let claimed = corner.json(&[&claim[..], &["--hostname", "kitchen", "--json"]].concat());
    assert_eq!((&claimed["claimed"], &claimed["wifi"]), (&true.into(), &"home".into()));
    let metadata = fs::metadata(corner.path().join(file)).unwrap();
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (0x8000, 0o600));

    // The key and the WiFi of this one are those that were written, and no others.
    let state = corner.path().join("kitchen");
    let options = ["--unclaimed", "--state", state.to_str().unwrap(), "--radio", "air"];
    let _other = corner.node(1, &[]);
    let _kitchen = corner.node(2, &options);
    wait("both know both", 20 * SECOND, || {
        (corner.members(1).len(), corner.members(2).len()) == (2, 2)
    });
    let node = corner.api(2);
    let status = corner.json(&["status", "--json", "--node", &node]);
    assert_eq!((&status["claimed"], &status["hostname"]), (&true.into(), &"kitchen".into()));
    let config = corner.json(&["config", "get", "--json", "--node", &node]);
    assert_eq!(config["release_key"], claimed["release_key"]);
    let network = corner.json(&["network", "--json", "--node", &node]);
    assert_eq!((&network["state"], &network["ssid"]), (&"connected".into(), &"home".into()));
}

#[test]
fn an_unclaimed_memory_has_no_key_and_a_password_of_its_own() {
    let corner = Corner::new();
    make_keys(&corner);
    let password = |file: &str| {
        let made = corner.json(&["claim", file, "--unclaimed", "--no-wifi", "--json"]);
        assert_eq!((&made["claimed"], &made["release_key"]), (&false.into(), &().into()));
        made["access_point_password"].as_str().unwrap().to_owned()
    };
    let (first, second) = (password("a.flash"), password("b.flash"));
    assert!(first.len() >= 12 && first != second, "{first} {second}");
    let bytes = fs::read(corner.path().join("a.flash")).unwrap();
    assert!(bytes.windows(first.len()).any(|window| window == first.as_bytes()));
    fs::create_dir(corner.path().join("node")).unwrap();
    fs::rename(corner.path().join("a.flash"), corner.path().join("node/settings.flash")).unwrap();
    let _node = corner.node(1, &["--unclaimed", "--state", "node"]);
    let status = corner.json(&["status", "--json", "--node", &corner.api(1)]);
    assert_eq!(status["claimed"], false);
}

#[test]
fn the_wifi_comes_from_options_or_variables_and_a_wrong_one_is_refused() {
    let corner = Corner::new();
    make_keys(&corner);
    let mut command = corner.command(&["claim", "a", "--json"]);
    command.env("SPORE_WIFI", "attic").env("SPORE_WIFI_PASSWORD", "attic-password");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(r#""wifi":"attic""#) && !text.contains("attic-password"), "{text}");
    let bytes = fs::read(corner.path().join("a")).unwrap();
    assert!(bytes.windows(14).any(|window| window == b"attic-password"));

    for (variables, arguments, code, why) in [
        (&[][..], &["--wifi", "home"][..], 1, "there is no password"),
        (&[("SPORE_WIFI_PASSWORD", "short")], &["--wifi", "home"], 1, "SPORE_WIFI_PASSWORD"),
        (&[("SPORE_WIFI", "a\nb")], &[], 1, "SPORE_WIFI"),
        (&[], &["--open"], 2, "--wifi NAME"),
        (&[], &["--no-wifi", "--wifi", "home"], 2, "cannot be used with"),
        (&[], &["--unclaimed", "--key-file", "x"], 2, "cannot be used with"),
        (&[], &["--key-file", "none"], 1, "spore key new"),
    ] {
        let mut command = corner.command(&[&["claim", "b"][..], arguments].concat());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{arguments:?}: {}", stderr(&output));
        assert!(!corner.path().join("b").exists(), "{arguments:?}");
    }
}

#[test]
fn a_file_is_replaced_only_where_that_is_asked_for() {
    let corner = Corner::new();
    make_keys(&corner);
    fs::write(corner.path().join("a"), "mine").unwrap();
    let output = corner.run(&["claim", "a", "--no-wifi"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert_eq!(fs::read(corner.path().join("a")).unwrap(), b"mine");
    assert!(corner.run(&["claim", "a", "--no-wifi", "--force"]).status.success());
    assert_eq!(fs::read(corner.path().join("a")).unwrap().len(), 0x8000);
}
