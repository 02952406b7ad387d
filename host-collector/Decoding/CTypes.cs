namespace VsockPair.Decoding;

/// <summary>Sizes of the C types that format files name, on a 64-bit kernel.</summary>
internal static class CTypes
{
    /// <returns>0 for a type that only the kernel's sources know.</returns>
    public static int SizeOf(string type)
    {
        string plain = type.Replace("const ", "", StringComparison.Ordinal).Replace("unsigned ", "", StringComparison.Ordinal)
            .Replace("signed ", "", StringComparison.Ordinal).Trim();
        return plain switch
        {
            "char" or "u8" or "s8" or "__u8" or "__s8" or "bool" or "_Bool" or "uint8_t" or "int8_t" => 1,
            "short" or "short int" or "u16" or "s16" or "__u16" or "__s16" or "__le16" or "__be16" or "uint16_t" or "int16_t" or "umode_t" => 2,
            "int" or "unsigned" or "signed" or "u32" or "s32" or "__u32" or "__s32" or "__le32" or "__be32" or "uint32_t" or "int32_t"
                or "pid_t" or "dev_t" or "gfp_t" or "uid_t" or "gid_t" or "fmode_t" => 4,
            "long" or "long int" or "long long" or "long long int" or "u64" or "s64" or "__u64" or "__s64" or "__le64" or "__be64" or "uint64_t"
                or "int64_t" or "size_t" or "ssize_t" or "sector_t" or "loff_t" or "ino_t" or "pgoff_t" or "off_t" => 8,
            _ => plain.EndsWith('*') ? 8 : 0,
        };
    }
}
