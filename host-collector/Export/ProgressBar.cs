using System.Globalization;
using VsockPair.Text;

namespace VsockPair.Export;

/// <summary>How far an export is, on a terminal's last line; says nothing where there is no terminal.</summary>
internal sealed class ProgressBar(TextWriter terminal, bool shown, TimeProvider time) : IDisposable
{
    private const int Cells = 30;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private long _last = long.MinValue;
    private bool _drawn;

    /// <param name="done">From 0 to 1.</param>
    /// <param name="bytes">Bytes of the result so far.</param>
    public void Show(double done, long bytes)
    {
        if (!shown || (_last != long.MinValue && time.GetElapsedTime(_last) < Interval))
        {
            return;
        }
        _last = time.GetTimestamp();
        _drawn = true;
        done = Math.Clamp(done, 0, 1);
        int full = (int)(done * Cells);
        terminal.Write(string.Create(CultureInfo.InvariantCulture, $"\r[{new string('#', full)}{new string('.', Cells - full)}] {done * 100,3:F0} %  {Units.Bytes(bytes),-10}"));
        terminal.Flush();
    }

    /// <summary>Leaves the line as it was.</summary>
    public void Dispose()
    {
        if (_drawn)
        {
            terminal.Write("\r\u001b[K");
            terminal.Flush();
        }
    }
}
