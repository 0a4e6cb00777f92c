//! In which language a page is: the one that the visitor has chosen, else what the browser accepts.

use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, HeaderMap};

/// The cookie in which the choice is.
pub const COOKIE_NAME: &str = "millrace-language";

/// A language of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English, which is also what is spoken where nothing is said.
    English,
    /// Chinese in simplified characters.
    Chinese,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its tag of BCP 47, for browsers and screen readers.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// Its code in cookies and addresses.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// What it calls itself.
    pub fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    /// The language of a code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The language for a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, COOKIE_NAME).and_then(Self::of_code);
        chosen.unwrap_or_else(|| {
            let accepts = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            Self::accepted(accepts.unwrap_or_default())
        })
    }

    /// The one that is accepted most readily; of equals the first.
    fn accepted(list: &str) -> Self {
        let mut best = (0, Self::English);
        for part in list.split(',') {
            let (tag, rest) = part.split_once(';').unwrap_or((part, ""));
            let weight = rest.trim().strip_prefix("q=").map_or(Some(1_000), thousandths).unwrap_or(0);
            let primary = tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
            if let Some(language) = Self::of_code(&primary)
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// A weight from 0 to 1, in thousandths.
fn thousandths(weight: &str) -> Option<u32> {
    let weight: f64 = weight.trim().parse().ok()?;
    (0.0..=1.0).contains(&weight).then_some((weight * 1_000.0) as u32)
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(of, _)| *of == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_goes_before_what_the_browser_accepts() {
        let of = |headers: &[(&'static str, &'static str)]| {
            let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            Language::of(&pairs.collect::<HeaderMap>())
        };
        let (english, chinese) = (Language::English, Language::Chinese);
        for (accepts, language) in [
            ("", english),
            ("zh-CN,zh;q=0.9,en;q=0.8", chinese),
            ("en-US,en;q=0.9,zh;q=0.8", english),
            ("de, zh;q=0.3, en;q=0.2", chinese),
            ("fr", english),
            ("zh;q=0", english),
            ("zh;q=x,;;,q=", english),
        ] {
            assert_eq!(of(&[("accept-language", accepts)]), language, "{accepts}");
        }
        let cookie = ("cookie", "other=1; millrace-language=zh");
        assert_eq!(of(&[("accept-language", "en"), cookie]), chinese);
        assert_eq!(of(&[("cookie", "millrace-language=xx")]), english);
    }
}
