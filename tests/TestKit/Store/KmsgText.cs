using System.Globalization;
using System.Text;

namespace VsockPair.TestKit.Store;

/// <summary>One kernel log record as <c>/dev/kmsg</c> gave it.</summary>
public sealed record KmsgText(ulong Sequence, string Raw)
{
    /// <summary>Splits what stands in a file, or comes in a frame. Latin-1, so that every byte is one character.</summary>
    public static IReadOnlyList<KmsgText> Split(byte[] bytes)
    {
        List<KmsgText> records = [];
        string text = Encoding.Latin1.GetString(bytes);
        int start = 0;
        while (start < text.Length)
        {
            int end = start;
            do
            {
                int newline = text.IndexOf('\n', end);
                end = newline < 0 ? text.Length : newline + 1;
            }
            while (end < text.Length && text[end] == ' ');
            string raw = text[start..end];
            records.Add(new KmsgText(ulong.Parse(raw.Split(',')[1], CultureInfo.InvariantCulture), raw));
            start = end;
        }
        return records;
    }
}
