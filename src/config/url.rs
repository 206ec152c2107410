//! Addresses as people write them. Errors never quote the URL: it may have a password in it.

use super::{Address, Config, options};
use crate::error::{Error, Kind, Result};

const DEFAULT_PORT: u16 = 6379;

/// What `sockaddr_un` has room for, without its NUL.
const MAX_UNIX_PATH: usize = 107;

/// Schemes that later versions have, with what they are.
const LATER: &[(&str, &str)] = &[
    ("rediss", "TLS"),
    ("file", "a snapshot file"),
    ("memory", "no server"),
    ("redis+sentinel", "Sentinel"),
    ("redis+cluster", "Cluster"),
];

/// Takes over address, credentials and database. What the URL does not have stays as it was.
pub(super) fn set(config: &mut Config, url: &str) -> Result<()> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(Error::invalid("it has no scheme"));
    };
    let scheme = scheme.to_ascii_lowercase();
    if let Some((_, what)) = LATER.iter().find(|(name, _)| *name == scheme) {
        let text = format!("{scheme} ({what}) is not in this version");
        return Err(Error::new(Kind::Unsupported, text));
    }
    if scheme != "redis" && scheme != "unix" {
        return Err(Error::invalid("its scheme is unknown"));
    }
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(Error::invalid("// must follow its scheme"));
    };
    // Such a character in a password has to be written as %3F or %23.
    if rest.contains(['?', '#']) {
        return Err(Error::invalid("it has a ? or #, and options are set one by one"));
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (userinfo, place) = match authority.rsplit_once('@') {
        Some((userinfo, place)) => (Some(userinfo), place),
        None => (None, authority),
    };
    if scheme == "unix" {
        config.address = unix(place, path)?;
    } else {
        config.address = tcp(place)?;
        let number = path.strip_prefix('/').unwrap_or(path);
        if !number.is_empty() {
            let number = options::database(number);
            let number = number.map_err(|e| {
                Error::invalid(format!("what follows the host is no database: {}", e.text()))
            })?;
            config.databases = Some(vec![number]);
        }
    }
    if let Some(userinfo) = userinfo {
        credentials(config, userinfo)?;
    }
    Ok(())
}

/// The URL without its password.
pub(super) fn text(config: &Config) -> String {
    let user = config.user.as_deref().map(|user| encode(user, b"")).unwrap_or_default();
    let userinfo = match (&config.user, &config.password) {
        (None, None) => String::new(),
        (Some(_), None) => format!("{user}@"),
        (_, Some(_)) => format!("{user}:{}@", super::HIDDEN),
    };
    match &config.address {
        Address::Unix { path } => format!("unix://{userinfo}{}", encode(path, b"/")),
        Address::Tcp { host, port } => {
            let host = encode(host, b":");
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let path = match config.databases.as_deref() {
                Some([only]) => format!("/{only}"),
                _ => String::new(),
            };
            format!("redis://{userinfo}{host}:{port}{path}")
        }
    }
}

fn unix(place: &str, path: &str) -> Result<Address> {
    if !place.is_empty() {
        return Err(Error::invalid("a third / must follow unix://"));
    }
    let path = decode(path, "path")?;
    if path.len() < 2 || path.contains('\0') {
        return Err(Error::invalid("it has no path"));
    }
    if path.len() > MAX_UNIX_PATH {
        return Err(Error::invalid(format!("its path is longer than {MAX_UNIX_PATH} bytes")));
    }
    Ok(Address::Unix { path })
}

fn tcp(place: &str) -> Result<Address> {
    let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
        let Some((host, after)) = bracketed.split_once(']') else {
            return Err(Error::invalid("its [ has no ]"));
        };
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err(Error::invalid("only a port may follow its ]")),
        }
    } else {
        match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(Error::invalid("an IPv6 address needs [ and ]"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    let host = decode(host, "host")?;
    if host.is_empty() || host.contains(['\0', ' ']) {
        return Err(Error::invalid("it has no host"));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().unwrap_or(0),
        Some(_) => 0,
    };
    if port == 0 {
        return Err(Error::invalid("its port is not a number from 1 to 65535"));
    }
    Ok(Address::Tcp { host, port })
}

fn credentials(config: &mut Config, userinfo: &str) -> Result<()> {
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, Some(decode(password, "password")?)),
        None => (userinfo, None),
    };
    let user = decode(user, "user")?;
    config.user = (!user.is_empty()).then_some(user);
    config.password = password.filter(|p| !p.is_empty());
    config.password_file = None;
    Ok(())
}

/// Undoes percent-encoding.
fn decode(part: &str, what: &str) -> Result<String> {
    let mut out = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |at: usize| rest.get(at).and_then(|&b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(Error::invalid(format!("its {what} has a % without two hex digits")));
        };
        out.push((high << 4 | low) as u8);
        rest = rest.get(2..).unwrap_or_default();
    }
    String::from_utf8(out).map_err(|_| Error::invalid(format!("its {what} is not UTF-8")))
}

fn encode(part: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(part.len());
    for &byte in part.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
