//! Keys on their way from one machine to another.

use crate::support::{Corner, stderr};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_go_to_another_machine_and_are_the_same_there() {
    let (here, there) = (Corner::new(), Corner::new());
    for (kind, name) in [("cluster", "key"), ("release", "public")] {
        let run = |corner: &Corner, arguments: &[&str]| {
            let output = corner.run(arguments);
            assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        run(&here, &["key", "new", kind]);
        let show = ["key", "show", kind, "--json"];
        let file = here.path().join(format!("usb/{kind}.txt"));
        let file = file.to_str().unwrap();
        let no_folder = here.run(&["key", "export", kind, "--output", file]);
        assert_eq!(no_folder.status.code(), Some(1), "a folder is not made");
        fs::create_dir(here.path().join("usb")).unwrap();
        run(&here, &["key", "export", kind, "--output", file]);
        assert_eq!(mode(Path::new(file)), 0o600);
        assert_eq!(mode(&here.path().join("spore")), 0o700);
        let again = here.run(&["key", "export", kind, "--output", file]);
        assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
        let on_screen = run(&here, &["key", "export", kind, "--stdout"]);
        assert_eq!(on_screen, fs::read_to_string(file).unwrap());
        assert_eq!(run(&here, &["key", "export", kind, "--output", "-"]), on_screen);
        assert!(!here.path().join("-").exists());

        run(&there, &["key", "import", file]);
        assert_eq!(there.json(&show)[name], here.json(&show)[name]);
        assert_eq!(mode(&there.path().join(format!("spore/{kind}.key"))), 0o600);
        assert!(run(&there, &["key", "import", file]).contains("was already"));
        // Another key is there now, and stays unless the owner says otherwise.
        run(&here, &["key", "new", kind, "--force"]);
        run(&here, &["key", "export", kind, "--output", file, "--force"]);
        let before = there.json(&show);
        let refused = there.run(&["key", "import", file]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains("--force replaces it"), "{}", stderr(&refused));
        assert_eq!(there.json(&show), before);
        run(&there, &["key", "import", file, "--force"]);
        assert_eq!(there.json(&show)[name], here.json(&show)[name]);
        // A damaged one is not replaced without a word either, and need not be good to be replaced.
        fs::write(there.path().join(format!("spore/{kind}.key")), "damaged").unwrap();
        let refused = there.run(&["key", "import", file]);
        assert!(stderr(&refused).contains("--force replaces it"), "{}", stderr(&refused));
        run(&there, &["key", "import", file, "--force"]);
        assert_eq!(there.json(&show)[name], here.json(&show)[name]);
        fs::remove_dir_all(here.path().join("usb")).unwrap();
    }
    // The file of a cluster key is taken as it is.
    let file = here.path().join("spore/cluster.key");
    let output = there.run(&["key", "import", file.to_str().unwrap(), "--force"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let show = ["key", "show", "--json"];
    assert_eq!(there.json(&show)["key"], here.json(&show)["key"]);
    let output = there.run(&["key", "import", "-"]);
    assert!(stderr(&output).contains("standard input is no"), "{}", stderr(&output));
}

#[test]
fn what_is_no_key_or_is_not_kept_secret_is_not_imported() {
    let corner = Corner::new();
    assert!(corner.run(&["key", "new", "release"]).status.success());
    let file = corner.path().join("usb.txt");
    let export = ["key", "export", "release", "--output", "usb.txt", "--force"];
    let refused = |what: &str| {
        let output = corner.run(&["key", "import", "usb.txt"]);
        assert_eq!(output.status.code(), Some(1), "{what}");
        assert!(stderr(&output).contains(what), "{what}: {}", stderr(&output));
    };
    refused("there is no file usb.txt");
    assert!(corner.run(&export).status.success());
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("kind: release", "kind: cluster")).unwrap();
    refused("checksum");
    fs::write(&file, "0".repeat(63)).unwrap();
    refused("SPORE key 1");
    fs::write(&file, &good).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    refused("chmod 600");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let public = [&export[..], &["--public"]].concat();
    assert!(corner.run(&public).status.success());
    refused("public part of a release key alone");
    assert!(!corner.path().join("spore/cluster.key").exists());
}

#[test]
fn an_export_says_where_to() {
    let corner = Corner::new();
    assert_eq!(corner.run(&["key", "export"]).status.code(), Some(2));
    let both = ["key", "export", "--stdout", "--output", "x"];
    assert_eq!(corner.run(&both).status.code(), Some(2));
    assert_eq!(corner.run(&["key", "export", "--public", "--stdout"]).status.code(), Some(2));
}
