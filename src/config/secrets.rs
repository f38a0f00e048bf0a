//! Secrets: read from files only their owner can read, and the signing secret that Caly makes for itself.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use super::Problem;
use super::layers::{Raw, SECRETS, Setting, Settings, Source};

/// A secret file larger than this is not a secret.
const LARGEST: u64 = 16 * 1024;

/// Fewest characters of a signing secret: 128 bits in hexadecimal.
pub(super) const SHORTEST_TOKEN_SECRET: usize = 32;

/// Fills secrets from their `_file` keys. A value given directly wins over a file.
pub(super) fn resolve(settings: &mut Settings, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) {
    for key in SECRETS.iter().copied().chain(["database.url"]) {
        let file_key = format!("{key}_file");
        let Some(path) = text_of(settings, &file_key) else { continue };
        if text_of(settings, key).is_some() {
            warnings.push(format!("{file_key} is ignored: {key} is set directly"));
            continue;
        }
        match read(Path::new(&path)) {
            Ok(secret) => {
                let source = Source::SecretFile(PathBuf::from(path));
                settings.insert(key.to_owned(), Setting { raw: Raw::Text(secret), source });
            }
            Err(reason) => problems.push(Problem::new(&file_key, reason)),
        }
    }
}

fn text_of(settings: &Settings, key: &str) -> Option<String> {
    match settings.get(key).map(|setting| &setting.raw) {
        Some(Raw::Text(text)) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// The trimmed content of a file nobody but its owner can read.
fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let facts = std::fs::metadata(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
    if !facts.is_file() || facts.len() > LARGEST {
        return Err(format!("{shown} is not a file of at most {LARGEST} bytes"));
    }
    // Orchestrators mount secrets world-readable inside the container, where there is no other user.
    let mounted = path.starts_with("/run/secrets") || path.starts_with("/var/run/secrets");
    if facts.permissions().mode() & 0o077 != 0 && !mounted {
        return Err(format!("{shown} can be read by other users: chmod 600 {shown}"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
    let secret = text.trim();
    if secret.is_empty() { Err(format!("{shown} is empty")) } else { Ok(secret.to_owned()) }
}

/// Reads `<data_dir>/token.secret`, or makes it with 256 random bits, readable by its owner only.
///
/// # Errors
/// The directory cannot be made, the file cannot be written, or its content or mode will not do.
pub(super) fn generated(data_dir: &Path) -> Result<SecretString, String> {
    let path = data_dir.join("token.secret");
    if !path.exists() {
        make(&path)?;
    }
    let secret = read(&path)?;
    if secret.len() < SHORTEST_TOKEN_SECRET {
        return Err(format!("{} is shorter than {SHORTEST_TOKEN_SECRET} characters: delete it", path.display()));
    }
    Ok(secret.into())
}

fn make(path: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let mut random = [0_u8; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| "the system gives no random numbers".to_owned())?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // Written aside and linked: two processes that start together end up with one secret, and never with half of one.
    let aside = path.with_extension(format!("{}.new", uuid::Uuid::now_v7()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&aside, path));
    let _ = std::fs::remove_file(&aside);
    match linked {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(failed(e)),
        _ => Ok(()),
    }
}
