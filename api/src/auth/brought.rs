//! What a call brings to show who makes it: `Authorization: Bearer ID.SECRET`, or `Basic` with a token's id and secret as name and password.

use base64::{Engine, prelude::BASE64_STANDARD};
use capstan_model::auth::token::{SecretHash, TokenId};
use http::{HeaderMap, header::AUTHORIZATION};

use super::secret;
use crate::{error::InputError, receptor::access::cookie_of};

/// What a call brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Brought {
    Nothing,
    Token {
        id: TokenId,
        hash: SecretHash,
    },
    /// Well formed, and no token whatever the cluster knows.
    Unknown,
}

/// Reads the header. Under `/v1` a cookie of Diego's counts before it, even an empty one.
///
/// # Errors
/// [`InputError::Credentials`] for anything that is of neither scheme, or given twice.
pub(super) fn read(headers: &HeaderMap, with_cookie: bool) -> Result<Brought, InputError> {
    let cookie = with_cookie.then(|| cookie_of(headers)).flatten();
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let value = match (cookie, given.next(), given.next()) {
        (Some(cookie), _, _) => cookie,
        (None, None, _) => return Ok(Brought::Nothing),
        (None, Some(_), Some(_)) => return Err(malformed("it must be given once")),
        (None, Some(value), None) => value.as_bytes().to_vec(),
    };
    let text = std::str::from_utf8(&value).map_err(|_| malformed("it must be visible ASCII"))?;
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("Bearer") {
        Ok(rest.split_once('.').map_or(Brought::Unknown, |(id, secret)| token(id, secret)))
    } else if scheme.eq_ignore_ascii_case("Basic") {
        basic(rest)
    } else {
        Err(malformed("the scheme must be Bearer, with ID.SECRET, or Basic, with a token's id and secret"))
    }
}

fn basic(encoded: &str) -> Result<Brought, InputError> {
    let refused = || malformed("Basic must be followed by name:password in base64");
    let decoded = BASE64_STANDARD.decode(encoded.trim()).map_err(|_| refused())?;
    let decoded = String::from_utf8(decoded).map_err(|_| refused())?;
    let (name, password) = decoded.split_once(':').ok_or_else(refused)?;
    Ok(token(name, password))
}

fn token(id: &str, secret: &str) -> Brought {
    id.parse().map_or(Brought::Unknown, |id| Brought::Token { id, hash: secret::hash(secret) })
}

fn malformed(reason: &'static str) -> InputError {
    InputError::Credentials { reason }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ID: &str = "00112233445566ff";

    fn of(values: &[&[u8]]) -> Result<Brought, InputError> {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        read(&map, false)
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_name_and_password() {
        let token = Brought::Token { id: ID.parse().unwrap(), hash: secret::hash("s.e:c") };
        let basic = BASE64_STANDARD.encode(format!("{ID}:s.e:c"));
        for value in [
            format!("Bearer {ID}.s.e:c"),
            format!("bEARER {ID}.s.e:c"),
            format!("Basic {basic}"),
            format!("basic {basic}"),
        ] {
            assert_eq!(of(&[value.as_bytes()]).unwrap(), token, "{value}");
        }
        assert_eq!(of(&[]).unwrap(), Brought::Nothing);
    }

    #[test]
    fn what_is_no_token_is_told_from_what_is_malformed() {
        let unknown = ["Bearer", "Bearer ", "Bearer x", "Bearer x.y", &format!("Bearer {ID}"), "Basic dTpw"];
        for value in unknown {
            assert_eq!(of(&[value.as_bytes()]).unwrap(), Brought::Unknown, "{value}");
        }
        let malformed: [&[&[u8]]; 9] = [
            &[b""],
            &[b"Digest x"],
            &[b"Bearerx"],
            &[b"Basic"],
            &[b"Basic !"],
            &[b"Basic dQ=="],
            &[b"Basic /w=="],
            &[b"Bearer \xff"],
            &[b"Bearer x", b"Bearer x"],
        ];
        for values in malformed {
            assert!(matches!(of(values), Err(InputError::Credentials { .. })), "{values:?}");
        }
    }
}
