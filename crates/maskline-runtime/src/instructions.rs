//! Instructions of this processor that decide how a model is built.

/// Whether this processor multiplies bytes and sums four products at once (VNNI, AMX; dot products of ARM): without, sums of two products of 8
/// bits overflow on the way.
pub fn has_byte_products() -> bool {
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("dotprod")
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        flags.split_whitespace().any(|flag| ["avx512_vnni", "avx_vnni", "amx_int8"].contains(&flag))
    }
}
