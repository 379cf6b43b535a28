//! Numbers as bytes: single ones as LEB128, columns of them in as many bits as they need. Pure.
//!
//! A column of whole numbers is written as their distances to the smallest, or the same of the differences between
//! neighbours, whichever is shorter: regular times and places then take hardly anything. A column of values is one of whole
//! numbers where all of them have few decimals, which is how sensors measure; else it is single or double precision as it is.

/// Marks a column of differences in its first byte; the rest of that byte is the number of bits.
const DIFFERENCES: u8 = 0x80;

/// First bytes of columns of values that are not decimals. Those are said by their number, at most [`MOST_DECIMALS`].
const SINGLE: u8 = 0x10;
const DOUBLE: u8 = 0x11;

/// More decimals than sensors have, and few enough for powers of ten that are exact.
const MOST_DECIMALS: u8 = 9;

/// Whole numbers up to here are exact in a double.
const LARGEST_EXACT: f64 = (1_u64 << 53) as f64;

pub(super) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Writes a column. Its length is not written.
pub(super) fn put_column(bytes: &mut Vec<u8>, numbers: &[i64]) {
    let Some((&first, rest)) = numbers.split_first() else {
        return;
    };
    if rest.is_empty() {
        return put_number(bytes, zigzag(first));
    }
    let differences: Vec<i64> = numbers
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]))
        .collect();
    let (smallest, bits) = frame(numbers);
    let (smallest_difference, bits_of_differences) = frame(&differences);
    if bits_of_differences < bits {
        bytes.push(DIFFERENCES | bits_of_differences);
        put_number(bytes, zigzag(first));
        put_number(bytes, zigzag(smallest_difference));
        put_bits(
            bytes,
            &differences,
            smallest_difference,
            bits_of_differences,
        );
    } else {
        bytes.push(bits);
        put_number(bytes, zigzag(smallest));
        put_bits(bytes, numbers, smallest, bits);
    }
}

/// The smallest number, and how many bits the largest distance to it takes.
fn frame(numbers: &[i64]) -> (i64, u8) {
    let smallest = numbers.iter().copied().min().unwrap_or(0);
    let largest = numbers.iter().copied().max().unwrap_or(0);
    let distance = largest.wrapping_sub(smallest).cast_unsigned();
    (smallest, (u64::BITS - distance.leading_zeros()) as u8)
}

fn put_bits(bytes: &mut Vec<u8>, numbers: &[i64], smallest: i64, bits: u8) {
    let (mut held, mut count) = (0_u128, 0);
    for number in numbers {
        held |= u128::from(number.wrapping_sub(smallest).cast_unsigned()) << count;
        count += u32::from(bits);
        while 8 <= count {
            bytes.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    }
    if 0 < count {
        bytes.push(held as u8);
    }
}

/// How many decimals all of these have at most; `None` where they are not decimals.
pub(super) fn decimals_of(values: &[f64]) -> Option<u8> {
    (0..=MOST_DECIMALS).find(|decimals| whole(values, *decimals).is_some())
}

/// The nearest value with so many decimals.
pub(super) fn rounded(value: f64, decimals: u8) -> f64 {
    let power = 10_f64.powi(i32::from(decimals.min(MOST_DECIMALS)));
    let rounded = (value * power).round() / power;
    if rounded.is_finite() { rounded } else { value }
}

/// Writes a column of values. Its length is not written.
pub(super) fn put_values(bytes: &mut Vec<u8>, values: &[f64]) {
    let decimals =
        (0..=MOST_DECIMALS).find_map(|decimals| Some((decimals, whole(values, decimals)?)));
    if let Some((decimals, numbers)) = decimals {
        bytes.push(decimals);
        return put_column(bytes, &numbers);
    }
    let single = |value: &f64| {
        (f64::from(*value as f32).to_bits() == value.to_bits()).then_some(*value as f32)
    };
    let singles: Option<Vec<f32>> = values.iter().map(single).collect();
    match singles {
        Some(singles) => {
            bytes.push(SINGLE);
            bytes.extend(singles.iter().flat_map(|value| value.to_le_bytes()));
        }
        None => {
            bytes.push(DOUBLE);
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
}

/// The values times a power of ten, if that loses nothing of any of them.
fn whole(values: &[f64], decimals: u8) -> Option<Vec<i64>> {
    let power = 10_f64.powi(i32::from(decimals));
    let whole = |value: &f64| {
        let number = (value * power).round();
        let is_exact = number.abs() <= LARGEST_EXACT
            && (number as i64 as f64 / power).to_bits() == value.to_bits();
        is_exact.then_some(number as i64)
    };
    values.iter().map(whole).collect()
}

/// What is still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A number that says how many of something follow; `None` if they are more than there can be.
    pub(super) fn count(&mut self, most: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= most).then_some(count)
    }

    /// A column of so many numbers.
    pub(super) fn column(&mut self, count: usize) -> Option<Vec<i64>> {
        match count {
            0 => return Some(Vec::new()),
            1 => return Some(vec![unzigzag(self.number()?)]),
            _ => {}
        }
        let [head] = self.array()?;
        let bits = head & !DIFFERENCES;
        if head & DIFFERENCES == 0 {
            let smallest = unzigzag(self.number()?);
            return self.bits(count, smallest, bits);
        }
        let mut number = unzigzag(self.number()?);
        let smallest = unzigzag(self.number()?);
        let mut column = Vec::with_capacity(count);
        column.push(number);
        for difference in self.bits(count - 1, smallest, bits)? {
            number = number.wrapping_add(difference);
            column.push(number);
        }
        Some(column)
    }

    fn bits(&mut self, count: usize, smallest: i64, bits: u8) -> Option<Vec<i64>> {
        let bits = u32::from(bits);
        if u64::BITS < bits {
            return None;
        }
        let mut packed = self.take((count * bits as usize).div_ceil(8))?.iter();
        let mask = (1_u128 << bits) - 1;
        let (mut held, mut there) = (0_u128, 0);
        let mut column = Vec::with_capacity(count);
        for _ in 0..count {
            while there < bits {
                held |= u128::from(*packed.next()?) << there;
                there += 8;
            }
            column.push(smallest.wrapping_add(((held & mask) as u64).cast_signed()));
            held >>= bits;
            there -= bits;
        }
        Some(column)
    }

    /// A column of so many values.
    pub(super) fn values(&mut self, count: usize) -> Option<Vec<f64>> {
        let [head] = self.array()?;
        match head {
            SINGLE => (0..count)
                .map(|_| Some(f64::from(f32::from_le_bytes(self.array()?))))
                .collect(),
            DOUBLE => (0..count)
                .map(|_| Some(f64::from_le_bytes(self.array()?)))
                .collect(),
            decimals if decimals <= MOST_DECIMALS => {
                let power = 10_f64.powi(i32::from(decimals));
                let numbers = self.column(count)?;
                Some(
                    numbers
                        .into_iter()
                        .map(|number| number as f64 / power)
                        .collect(),
                )
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of_column(numbers: &[i64]) -> usize {
        let mut bytes = Vec::new();
        put_column(&mut bytes, numbers);
        let mut rest = Bytes::new(&bytes);
        assert_eq!(rest.column(numbers.len()).as_deref(), Some(numbers));
        assert!(rest.is_empty());
        for cut in 0..bytes.len() {
            assert_eq!(Bytes::new(&bytes[..cut]).column(numbers.len()), None);
        }
        bytes.len()
    }

    fn bytes_of_values(values: &[f64]) -> usize {
        let mut bytes = Vec::new();
        put_values(&mut bytes, values);
        let mut rest = Bytes::new(&bytes);
        let found = rest.values(values.len()).unwrap();
        let bits = |values: &[f64]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&found), bits(values));
        assert!(rest.is_empty());
        bytes.len()
    }

    #[test]
    fn columns_come_back_as_they_were() {
        assert_eq!(bytes_of_column(&[]), 0);
        assert_eq!(bytes_of_column(&[-3]), 1);
        assert_eq!(bytes_of_column(&[5; 100]), 2);
        let regular: Vec<i64> = (0..128).map(|n| 1_764_000_000_000 + n * 1000).collect();
        assert_eq!(bytes_of_column(&regular), 9, "regular times take no bits");
        bytes_of_column(&[i64::MIN, i64::MAX]);
        bytes_of_column(&[i64::MAX, i64::MIN, 0, -1, 1]);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let bits = random.u32(0..64);
            let numbers: Vec<i64> = (0..random.usize(0..200))
                .map(|_| random.i64(..) >> bits)
                .collect();
            bytes_of_column(&numbers);
        }
    }

    #[test]
    fn values_come_back_bit_by_bit() {
        assert_eq!(bytes_of_values(&[21.5; 10]), 4);
        let walk: Vec<f64> = (0..128).map(|n| f64::from(2000 + n % 7) / 100.0).collect();
        assert_eq!(bytes_of_values(&walk), 4 + 128 * 3 / 8);
        bytes_of_values(&[0.0, -0.0]);
        bytes_of_values(&[f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324]);
        bytes_of_values(&[9_007_199_254_740_993.0, 0.1]);
        assert_eq!(bytes_of_values(&[f64::from(0.1_f32); 4]), 17);
        assert_eq!(bytes_of_values(&[std::f64::consts::PI; 4]), 33);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let decimals = random.u8(0..12);
            let values: Vec<f64> = (0..random.usize(1..150))
                .map(|_| f64::from(random.i32(..)) / 10_f64.powi(i32::from(decimals)))
                .collect();
            bytes_of_values(&values);
        }
    }

    #[test]
    fn bytes_that_make_no_sense_are_refused() {
        assert_eq!(Bytes::new(&[200]).values(1), None);
        assert_eq!(Bytes::new(&[65, 0, 1, 2]).column(2), None);
        assert_eq!(Bytes::new(&[0xff; 12]).number(), None);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..5000 {
            let bytes: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
            let count = random.usize(0..64);
            let column = Bytes::new(&bytes).column(count);
            assert!(column.is_none_or(|column| column.len() == count));
            let values = Bytes::new(&bytes).values(count);
            assert!(values.is_none_or(|values| values.len() == count));
        }
    }
}
