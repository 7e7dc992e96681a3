//! How long processes may run.

use super::clock::BootTime;

/// The permission to run processes. Unlimited until the node sets an end; from then on only a later end extends it.
#[derive(Debug, Default)]
pub struct Lease {
    until: Option<BootTime>,
}

impl Lease {
    /// Extends the lease to `until`; an earlier end than known changes nothing.
    pub fn extend(&mut self, until: BootTime) {
        self.until = self.until.max(Some(until));
    }

    /// Whether processes may run at `now`.
    pub fn permits(&self, now: BootTime) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// When it ends, if it was ever limited.
    pub fn ends_at(&self) -> Option<BootTime> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_unlimited_until_one_is_set_and_never_shortened() {
        let mut lease = Lease::default();
        assert!(lease.permits(BootTime(u64::MAX)));
        lease.extend(BootTime(10));
        assert!(lease.permits(BootTime(9)));
        assert!(!lease.permits(BootTime(10)));
        lease.extend(BootTime(5));
        assert!(lease.permits(BootTime(9)));
        lease.extend(BootTime(20));
        assert!(lease.permits(BootTime(19)));
        assert_eq!(lease.ends_at(), Some(BootTime(20)));
    }
}
