using System.Buffers.Text;

namespace VsockPair.GuestAgent.Kmsg;

/// <summary>The head of a record of <c>/dev/kmsg</c>: <c>prio,seq,usec,flags[,…];text</c> (Documentation/ABI/testing/dev-kmsg).</summary>
internal static class KmsgRecord
{
    public static bool TryReadSequence(ReadOnlySpan<byte> record, out ulong sequence)
    {
        int comma = record.IndexOf((byte)',');
        sequence = 0;
        return comma > 0 && Utf8Parser.TryParse(record[(comma + 1)..], out sequence, out int digits)
            && record.Length > comma + 1 + digits && record[comma + 1 + digits] == ',';
    }
}
