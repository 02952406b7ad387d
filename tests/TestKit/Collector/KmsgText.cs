using System.Globalization;
using System.Text;

namespace VsockPair.TestKit.Collector;

/// <summary>Records of <c>/dev/kmsg</c> as tests look at them.</summary>
public static class KmsgText
{
    /// <summary>Cuts a batch before each line that does not begin with a space.</summary>
    public static IReadOnlyList<byte[]> Split(byte[] batch)
    {
        List<byte[]> records = [];
        int start = 0;
        for (int i = 1; i <= batch.Length; i++)
        {
            if (i == batch.Length || (batch[i - 1] == '\n' && batch[i] != ' '))
            {
                records.Add(batch[start..i]);
                start = i;
            }
        }
        return records;
    }

    public static ulong Sequence(byte[] record) => ulong.Parse(Encoding.UTF8.GetString(record).Split(',')[1], CultureInfo.InvariantCulture);

    public static ulong LastSequence(byte[] batch) => Sequence(Split(batch)[^1]);
}
