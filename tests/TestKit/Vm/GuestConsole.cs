using System.Text;

namespace VsockPair.TestKit.Vm;

/// <summary>Everything a guest wrote on its serial console, in memory and in a file to look at by hand.</summary>
internal sealed class GuestConsole
{
    private readonly StringBuilder _text = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string Text
    {
        get
        {
            lock (_text)
            {
                return _text.ToString();
            }
        }
    }

    /// <summary>Reads until the guest's console ends.</summary>
    public async Task ReadAsync(Stream console, string logFile)
    {
        await using var log = new FileStream(logFile, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        Decoder decoder = Encoding.UTF8.GetDecoder();
        byte[] bytes = new byte[16 * 1024];
        char[] characters = new char[bytes.Length + 1];
        int count;
        while ((count = await console.ReadAsync(bytes)) > 0)
        {
            await log.WriteAsync(bytes.AsMemory(0, count));
            int decoded = decoder.GetChars(bytes.AsSpan(0, count), characters, flush: false);
            Append(characters.AsSpan(0, decoded));
        }
    }

    /// <summary>Completes when the text, from character <paramref name="start"/> on, contains <paramref name="wanted"/>.</summary>
    public async Task WaitForAsync(string wanted, int start, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            lock (_text)
            {
                start = Math.Min(start, _text.Length);
                if (_text.ToString(start, _text.Length - start).Contains(wanted, StringComparison.Ordinal))
                {
                    return;
                }

                // What is wanted may straddle this end and the next piece.
                start = Math.Max(start, _text.Length - wanted.Length);
                changed = _changed.Task;
            }

            await changed.WaitAsync(cancellationToken);
        }
    }

    public string Tail(int lines = 25)
    {
        string[] all = Text.TrimEnd().Split('\n');
        return string.Join('\n', all[Math.Max(0, all.Length - lines)..]);
    }

    private void Append(ReadOnlySpan<char> characters)
    {
        TaskCompletionSource changed;
        lock (_text)
        {
            foreach (char character in characters)
            {
                if (character != '\r')
                {
                    _text.Append(character);
                }
            }

            changed = _changed;
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed.SetResult();
    }
}
