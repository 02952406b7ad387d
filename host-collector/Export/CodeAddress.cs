using System.Diagnostics.CodeAnalysis;
using System.Text;
using VsockPair.Decoding;

namespace VsockPair.Export;

/// <summary>Fields that hold a place in the kernel's code.</summary>
internal static class CodeAddress
{
    /// <summary><c>symbol</c>, or <c>symbol+0x12</c>.</summary>
    /// <returns>False when the field holds none, or none that has a name.</returns>
    public static bool TryName(FieldFormat field, ulong address, KernelSymbols symbols, [NotNullWhen(true)] out byte[]? name)
    {
        name = null;
        if (IsOne(field) && symbols.TryFind(address, out KernelSymbol symbol))
        {
            ulong offset = address - symbol.Address;
            name = offset == 0 ? symbol.Name.ToArray() : [.. symbol.Name, .. Encoding.ASCII.GetBytes($"+0x{offset:x}")];
        }
        return name is not null;
    }

    /// <summary>The names that the kernel's events have for such fields.</summary>
    private static bool IsOne(FieldFormat field) =>
        field.Size == sizeof(ulong) && field.Name is "ip" or "parent_ip" or "func" or "function" or "caller" or "call_site" or "__probe_ip" or "__probe_func" or "__probe_ret_ip";
}
