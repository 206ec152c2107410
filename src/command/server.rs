//! What is known of the primary where commands mean different things on different servers.

/// Whose program the primary runs, and which version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Valkey, not Redis.
    pub valkey: bool,
    /// Major and minor number; zeros where the server does not tell, as those before 3.2.
    pub version: (u32, u32),
}

impl Server {
    /// Redis as new as can be.
    pub const NEWEST: Self = Self { valkey: false, version: (u32::MAX, 0) };

    /// What a snapshot says about who wrote it.
    pub fn new(valkey: bool, version: &str) -> Self {
        let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self { valkey, version }
    }

    /// Whether it does what Redis does since this version. Valkey's first is as Redis 7.2.
    pub fn is_since(self, version: (u32, u32)) -> bool {
        self.valkey || self.version >= version
    }
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn versions_order_by_their_first_two_numbers() {
        let version = |text| Server::new(false, text).version;
        assert_eq!(version("7.2.4"), (7, 2));
        assert_eq!(version("255.255.255"), (255, 255));
        assert_eq!(version(""), (0, 0));
        assert!(version("10.0.1") > version("9.9.9"));
        assert!(Server::new(true, "").is_since((5, 0)));
        assert!(!Server::new(false, "3.2.1").is_since((4, 0)));
        assert!(Server::NEWEST.is_since((9, 99)));
    }
}
