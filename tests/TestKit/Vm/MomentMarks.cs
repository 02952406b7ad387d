using System.IO.MemoryMappedFiles;
using VsockPair.Linux;

namespace VsockPair.TestKit.Vm;

/// <summary>What a guest was asked to do at a moment of the host's.</summary>
public enum MomentKind
{
    /// <summary>Read CLOCK_BOOTTIME.</summary>
    Clock,

    /// <summary>Write "moment NUMBER" as a trace marker.</summary>
    Marker,

    /// <summary>Write "moment NUMBER" to the kernel log.</summary>
    Kmsg,
}

/// <summary>A moment that lies between two stamps of the host, nanoseconds.</summary>
/// <param name="Boot">The guest's CLOCK_BOOTTIME in it, before it wrote anything.</param>
public sealed record Moment(long Number, MomentKind Kind, long RealTimeBefore, long RealTimeAfter, long Boot)
{
    public long Width => RealTimeAfter - RealTimeBefore;
}

/// <summary>
/// Moments known to host and guest, to some ten microseconds, through no clock of the product's and no vsock: a page of memory that both see. A guest that spins on it does as it
/// is told when the host writes a number there, and the host stamps its own clock before it writes and after the guest has answered.
/// </summary>
public sealed class MomentMarks : IDisposable
{
    private const int PageBytes = 1 << 20;
    private const int AnswerOffset = 64;
    private const int BootOffset = 72;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly string _path;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly unsafe byte* _page;
    private long _number;

    public unsafe MomentMarks()
    {
        _path = Path.Combine(Path.GetTempPath(), $"vsockpair-moments-{Guid.NewGuid():N}");
        _file = MemoryMappedFile.CreateFromFile(_path, FileMode.CreateNew, null, PageBytes);
        _view = _file.CreateViewAccessor();
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _page);
    }

    /// <summary>The guest needs these devices and programs.</summary>
    public async Task<GuestOptions> AddToAsync(GuestOptions options) => options with
    {
        QemuArguments =
        [
            .. options.QemuArguments,
            "-object", $"memory-backend-file,id=moments,share=on,mem-path={_path},size={PageBytes}",
            "-device", "ivshmem-plain,memdev=moments",
        ],
        Files = new Dictionary<string, string>(options.Files) { ["/bin/moment-marks"] = await StaticProgram.MomentMarksAsync() },
    };

    /// <summary>Lets the guest wait for moments, which takes one of its CPUs until <see cref="StopAsync"/>.</summary>
    public static async Task StartAsync(Guest guest, string marker) =>
        (await guest.RunAsync($"moment-marks {marker} >/run/moments.log 2>&1 & sleep 0.2; kill -0 $! || {{ cat /run/moments.log; exit 1; }}")).EnsureSuccess();

    public static async Task StopAsync(Guest guest) => (await guest.RunAsync("kill $(pidof moment-marks)")).EnsureSuccess();

    public unsafe Moment Mark(MomentKind kind)
    {
        long request = ++_number * 8 + (long)kind;
        long limit = Sys.Now(Constants.CLOCK_MONOTONIC) + Patience.Ticks * TimeSpan.NanosecondsPerTick;
        long before = Sys.Now(Constants.CLOCK_REALTIME);
        Volatile.Write(ref *(long*)_page, request);
        while (Volatile.Read(ref *(long*)(_page + AnswerOffset)) != request)
        {
            if (Sys.Now(Constants.CLOCK_MONOTONIC) > limit)
            {
                throw new GuestException($"the guest did not answer moment {_number}");
            }
        }
        long after = Sys.Now(Constants.CLOCK_REALTIME);
        return new Moment(_number, kind, before, after, Volatile.Read(ref *(long*)(_page + BootOffset)));
    }

    /// <summary>
    /// So many moments that both sides know to <paramref name="width"/> nanoseconds. On a busy host a guest's CPU does not always run when it is asked: such moments are
    /// left out. A thread that has slept may push that CPU off its core, so moments come in bursts.
    /// </summary>
    /// <exception cref="GuestException">The host was too busy for that.</exception>
    public IReadOnlyList<Moment> MarkSharp(MomentKind kind, int count, long width, TimeSpan interval)
    {
        const int Burst = 8;
        const int SharpPerBurst = 2;
        List<Moment> sharp = [];
        long[] widths = new long[Burst];
        for (int tries = 0; tries < 20 * count; tries++)
        {
            int before = sharp.Count;
            for (int i = 0; i < Burst && sharp.Count < Math.Min(count, before + SharpPerBurst); i++)
            {
                Moment moment = Mark(kind);
                widths[i] = moment.Width;
                if (moment.Width <= width)
                {
                    sharp.Add(moment);
                }
                Thread.SpinWait(20_000);
            }
            if (sharp.Count == count)
            {
                return sharp;
            }
            Thread.Sleep(interval);
        }
        throw new GuestException($"only {sharp.Count} of {count} moments were sharp, the last ones {string.Join(", ", widths.Select(w => w / 1000))} us wide");
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
        File.Delete(_path);
    }
}
