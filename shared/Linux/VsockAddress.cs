using System.Globalization;

namespace VsockPair.Linux;

/// <summary>A vsock(7) address. Text form <c>CID:PORT</c>; an empty CID stands for any.</summary>
public readonly record struct VsockAddress(uint Cid, uint Port)
{
    public static bool TryParse(ReadOnlySpan<char> text, out VsockAddress address)
    {
        address = default;
        int colon = text.IndexOf(':');
        if (colon < 0 || !uint.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out uint port))
        {
            return false;
        }
        uint cid = Constants.VMADDR_CID_ANY;
        if (colon > 0 && !uint.TryParse(text[..colon], NumberStyles.None, CultureInfo.InvariantCulture, out cid))
        {
            return false;
        }
        address = new VsockAddress(cid, port);
        return true;
    }

    public override string ToString() => Cid == Constants.VMADDR_CID_ANY ? $":{Port}" : $"{Cid}:{Port}";
}
