// Numbers modulo L in twenty digits of 13 bits.

alias Scalar = array<u32, 20>;

// A number of forty digits modulo L. Each digit is multiplied by 2^(13j) mod L, and that is added up: forty products
// below 2²⁶ in a column.
fn reduce(number: array<u32, 40>) -> Scalar {
    var digits = number;
    var column: Scalar;
    for (var j = 0u; j < 40u; j++) {
        for (var i = 0u; i < 20u; i++) {
            column[i] += digits[j] * constants[POWERS + 20u * j + i];
        }
    }
    // Carried, the sum is below 40·2¹³·L: q is what lies above bit 252 (bit 5 of the topmost limb), below 2¹⁹.
    var over = 0u;
    for (var i = 0u; i < 19u; i++) {
        over += column[i];
        column[i] = over & 8191u;
        over >>= 13u;
    }
    over += column[19];
    let q = over >> 5u;
    column[19] = over & 31u;
    // Less q·(L − 2²⁵²): limbs below 2¹³ of which ten are not zero. What is below zero is lent by the next limb.
    var lent = 0u;
    for (var i = 0u; i < 20u; i++) {
        let c = select(0u, constants[ORDER + i], i < 10u);
        let less = q * c + lent;
        let digit = (column[i] - less) & 8191u;
        lent = (less + digit - column[i]) >> 13u;
        column[i] = digit;
    }
    // Below zero, at least −2¹⁴⁴: one L more.
    over = 0u;
    for (var i = 0u; i < 20u; i++) {
        over += column[i] + lent * constants[ORDER + i];
        column[i] = over & 8191u;
        over >>= 13u;
    }
    return column;
}

// A number below 2²⁵⁶ in words of 32 bits.
fn packed(number: Scalar) -> array<u32, 8> {
    var digits = number;
    var words: array<u32, 8>;
    for (var i = 0u; i < 20u; i++) {
        let word = (13u * i) >> 5u;
        let low = (13u * i) & 31u;
        words[word] |= digits[i] << low;
        if low > 19u && word < 7u {
            words[word + 1u] |= digits[i] >> (32u - low);
        }
    }
    return words;
}
