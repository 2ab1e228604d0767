//! The trusted roots, and those that SSL_CERT_FILE and SSL_CERT_DIR give, as for OpenSSL.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::anchors::{Anchors, Given};
use super::not_pem;
use crate::env::Env;
use crate::file::{self, PEM_MAX};
use crate::text::printable;

/// How many files of a folder are read. The Mozilla roots as single files are 150, and 300 with their hashed names.
const FILES_MAX: usize = 1024;

/// How much is read in all, in bytes. waitgate must run in 16 MiB of memory.
const BYTES_MAX: u64 = 4 * PEM_MAX;

/// Which roots are trusted.
#[derive(Clone, Debug, Default)]
pub(crate) enum Roots {
    /// The Mozilla roots and those of --ca-file.
    #[default]
    Run,
    /// The Mozilla roots only.
    Mozilla,
    /// Only these.
    Only(Arc<Anchors>),
}

/// The certificates from the environment, which are trusted besides the Mozilla roots, and a warning for each path that
/// could not be used. A mistake here is not an error: images and base manifests set these variables for other programs.
pub(crate) fn inherited(env: &Env) -> (Vec<Given>, Vec<String>) {
    let mut roots = Vec::new();
    let mut warnings = Vec::new();
    let mut left = BYTES_MAX;
    let set = |name| env.get(name).filter(|value: &&OsStr| !value.is_empty());
    if let Some(path) = set("SSL_CERT_FILE") {
        match read(Path::new(path), "SSL_CERT_FILE", &mut left) {
            Some(found) => roots.extend(found),
            None => warnings.push(unused("SSL_CERT_FILE", Path::new(path))),
        }
    }
    if let Some(folders) = set("SSL_CERT_DIR") {
        for folder in std::env::split_paths(folders) {
            let before = roots.len();
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten().take(FILES_MAX);
            for entry in entries {
                roots.extend(read(&entry.path(), "SSL_CERT_DIR", &mut left).into_iter().flatten());
            }
            if roots.len() == before {
                warnings.push(unused("SSL_CERT_DIR", &folder));
            }
        }
    }
    // Such a folder has each certificate more than once: under a name, under a hash and in a bundle.
    roots.sort_by(|a, b| a.der.as_ref().cmp(b.der.as_ref()));
    roots.dedup_by(|a, b| a.der == b.der);
    (roots, warnings)
}

fn unused(name: &str, path: &Path) -> String {
    let path = path.to_string_lossy();
    if path.contains("-----BEGIN") || path.contains(['\n', '\r']) {
        // It may be a key.
        return format!("{name} is not used: it takes a path, and found a content");
    }
    let path = printable(&path);
    format!("{name}={path} is not used: waitgate can read no PEM certificates there")
}

/// The certificates of one file of `variable`, if it has at most `left` bytes.
fn read(path: &Path, variable: &str, left: &mut u64) -> Option<Vec<Given>> {
    let pem = file::read(path, PEM_MAX.min(*left)).ok()?;
    *left -= pem.len() as u64;
    given(&pem, &format!("{} ({variable})", path.display())).ok()
}

/// The certificates of a PEM file to trust. `from` names the file in messages.
pub(super) fn given(pem: &[u8], from: &str) -> Result<Vec<Given>> {
    let from: Arc<str> = from.into();
    Ok(certificates(pem)?.into_iter().map(|der| Given { der, from: Arc::clone(&from) }).collect())
}

/// The certificates of a PEM file. A file without a certificate is an error.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(found) if found.is_empty() => bail!("{} (expected certificates in PEM)", not_pem::seems(pem)),
        Ok(found) => {
            let mut store = RootCertStore::empty();
            let (good, _) = store.add_parsable_certificates(found.iter().cloned());
            if good == 0 {
                bail!("found no X.509 certificate (expected certificates in PEM)");
            }
            Ok(found)
        }
        Err(_) => bail!("found something that is not PEM (expected certificates in PEM)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_files_are_read_and_the_others_give_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let path = |name: &str| dir.path().join(name).display().to_string();
        fs::create_dir(path("empty")).unwrap();
        fs::create_dir(path("full")).unwrap();
        for name in ["full/a.pem", "full/0a1b2c3d.0"] {
            fs::write(path(name), &pem).unwrap();
        }
        fs::write(path("full/README"), "hello").unwrap();
        fs::write(path("bad"), "hello").unwrap();
        let of = |file: &str, dirs: &str| {
            inherited(&[("SSL_CERT_FILE", file), ("SSL_CERT_DIR", dirs)].into_iter().collect())
        };
        let (roots, warnings) = of(&path("full/a.pem"), &path("full"));
        assert_eq!((roots.len(), warnings.len()), (1, 0));
        let (roots, warnings) = of(&path("bad"), &format!("{}:{}:{}", path("full"), path("empty"), path("none")));
        assert_eq!((roots.len(), warnings.len()), (1, 3), "{warnings:?}");
        assert!(warnings[0].starts_with("SSL_CERT_FILE="));
        let (_, warnings) = of("-----BEGIN PRIVATE KEY-----\nhunter2\n", "");
        assert!(warnings.len() == 1 && !warnings[0].contains("hunter2"), "{warnings:?}");
        let (roots, warnings) = of("", "");
        assert!(roots.is_empty() && warnings.is_empty());
        // A folder that would fill the memory is read up to the limit.
        fs::create_dir(path("large")).unwrap();
        for n in 0..8 {
            fs::write(path(&format!("large/{n}")), pem.clone() + &"#".repeat(1_000_000)).unwrap();
        }
        let (_, warnings) = of("", &format!("{}:{}", path("large"), path("full")));
        assert_eq!(warnings.len(), 0, "a file of a kilobyte still fits");
        let mut left = 1000;
        assert!(read(Path::new(&path("large/0")), "SSL_CERT_DIR", &mut left).is_none() && left == 1000);
    }
}
