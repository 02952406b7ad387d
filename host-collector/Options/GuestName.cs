using System.Buffers;

namespace VsockPair.Options;

/// <summary>
/// Names of guests. A name becomes a folder of the store, an argument and a column of a table, so only characters that need quoting in none of them are let in.
/// </summary>
public static class GuestName
{
    public const int MaxLength = 64;

    /// <summary>What a name must be, as the end of a message.</summary>
    public const string Rule = "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit, and not cid-NUMBER";

    private const string CidPrefix = "cid-";

    private static readonly SearchValues<char> Allowed =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    /// <summary>A name that a person or the name of a VM's folder may give.</summary>
    public static bool IsValid(ReadOnlySpan<char> name) => IsSafe(name) && !IsUnresolved(name);

    /// <summary>A name that a folder of the store may have: a valid one, or that of an unresolved guest.</summary>
    public static bool IsSafe(ReadOnlySpan<char> name) =>
        name.Length is > 0 and <= MaxLength && char.IsAsciiLetterOrDigit(name[0]) && !name.ContainsAnyExcept(Allowed);

    /// <summary>The name of a guest that the host cannot tell more about than its CID.</summary>
    public static string Unresolved(uint cid) => $"{CidPrefix}{cid}";

    private static bool IsUnresolved(ReadOnlySpan<char> name) =>
        name.StartsWith(CidPrefix, StringComparison.Ordinal) && !name[CidPrefix.Length..].ContainsAnyExceptInRange('0', '9');
}
