//! Raises the loopback of a new network: there it is down.

use std::{io, os::fd::AsRawFd};

use nix::{
    libc,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};

/// The number of the loopback in every network.
const LOOPBACK: i32 = 1;
/// Length of the header of a message of netlink.
const HEADER_BYTES: usize = 16;
/// Length of what this one says behind it: an `ifinfomsg`.
const BODY_BYTES: usize = 16;

/// Raises the loopback of the calling thread's network. Both versions of IP have their addresses on it from then on.
///
/// # Errors
/// The kernel refuses; only root may.
pub(super) fn raise() -> io::Result<()> {
    let link =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    send(link.as_raw_fd(), &request(), MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let length = recv(link.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    match error_in(&answer[..length]) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is no acknowledgement")),
    }
}

/// "Loopback: up", acknowledgement wanted; see rtnetlink(7).
fn request() -> [u8; HEADER_BYTES + BODY_BYTES] {
    let mut message = [0; HEADER_BYTES + BODY_BYTES];
    let mut put = |at: usize, bytes: &[u8]| message[at..at + bytes.len()].copy_from_slice(bytes);
    let up = u32::try_from(libc::IFF_UP).expect("it is one bit").to_ne_bytes();
    let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK).expect("they are bits of a u16");
    put(0, &((HEADER_BYTES + BODY_BYTES) as u32).to_ne_bytes());
    put(4, &libc::RTM_NEWLINK.to_ne_bytes());
    put(6, &flags.to_ne_bytes());
    put(HEADER_BYTES + 4, &LOOPBACK.to_ne_bytes());
    // The flags, and which of them are meant.
    put(HEADER_BYTES + 8, &up);
    put(HEADER_BYTES + 12, &up);
    message
}

/// The number of the error in an `NLMSG_ERROR`, negative, or zero for an acknowledgement.
fn error_in(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let is_error = i32::from(kind) == libc::NLMSG_ERROR;
    let error = answer.get(HEADER_BYTES..HEADER_BYTES + 4)?.try_into().ok()?;
    is_error.then(|| i32::from_ne_bytes(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_error_or_an_acknowledgement() {
        let answer = |kind: i32, error: i32| {
            let mut bytes = request().to_vec();
            bytes[4..6].copy_from_slice(&u16::try_from(kind).unwrap().to_ne_bytes());
            bytes[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&error.to_ne_bytes());
            bytes
        };
        assert_eq!(error_in(&answer(libc::NLMSG_ERROR, 0)), Some(0));
        assert_eq!(error_in(&answer(libc::NLMSG_ERROR, -libc::EPERM)), Some(-libc::EPERM));
        assert_eq!(error_in(&answer(libc::NLMSG_DONE, 0)), None);
        assert_eq!(error_in(&answer(libc::NLMSG_ERROR, 0)[..HEADER_BYTES]), None, "cut short");
    }
}
