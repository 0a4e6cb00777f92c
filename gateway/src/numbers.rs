//! Numbers in JSON: what a double cannot hold exactly is a string of digits, in every answer.

use serde_json::Value;

/// The largest whole number up to which a double holds each one: 2^53.
pub const EXACT_MAX: u64 = 1 << 53;

/// Writes each whole number beyond 2^53 as a string of digits.
pub fn exact(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let beyond = number.as_u64().is_some_and(|number| number > EXACT_MAX)
                || number.as_i64().is_some_and(|number| number.unsigned_abs() > EXACT_MAX);
            if beyond {
                *value = Value::String(number.to_string());
            }
        }
        Value::Array(list) => list.iter_mut().for_each(exact),
        Value::Object(fields) => fields.values_mut().for_each(exact),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A whole number, as a number or as a string of digits.
pub fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_double_holds_stays_a_number() {
        let mut value =
            json!({ "a": EXACT_MAX, "b": [EXACT_MAX + 1, u64::MAX, -1], "c": i64::MIN, "d": 0.5 });
        exact(&mut value);
        let expected = json!({
            "a": 9_007_199_254_740_992_u64,
            "b": ["9007199254740993", "18446744073709551615", -1],
            "c": "-9223372036854775808",
            "d": 0.5,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(whole(&json!(7)), Some(7));
        assert_eq!(whole(&json!("18446744073709551615")), Some(u64::MAX));
        for no in
            [json!("18446744073709551616"), json!("-1"), json!("1e3"), json!(""), json!(0.5), json!(null)]
        {
            assert_eq!(whole(&no), None, "{no}");
        }
    }
}
