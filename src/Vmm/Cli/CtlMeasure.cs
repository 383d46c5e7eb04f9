using System.CommandLine;
using Google.LongRunning;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Vmm.Api.V1;
using Vmm.Beds;
using Vmm.Control.Operations;
using Vmm.Grpc;
using Vmm.Grpc.Client;
using Vmm.GuestDma.Measurement;

namespace Vmm.Cli;

/// <summary><c>vmm ctl measure</c>: <c>vmm bench dma</c> on a server, with its rows as they come. Ctrl-C cancels and keeps what is there.</summary>
internal static class CtlMeasure
{
    /// <summary>Host time between two looks at what has come.</summary>
    static readonly TimeSpan LookTime = TimeSpan.FromMilliseconds(500);

    /// <summary>Builds the command.</summary>
    /// <param name="server">Option of the server.</param>
    /// <param name="token">Option of the token's file.</param>
    public static Command Create(Option<string> server, Option<string?> token)
    {
        var fields = new Argument<string[]>("field=value") { Description = CtlCommand.Fields(MeasureDmaRequest.Descriptor), Arity = ArgumentArity.ZeroOrMore };
        var csv = new Option<string?>("--csv") { Description = "write the results as comma-separated values" };
        var json = new Option<string?>("--json") { Description = "write the results as JSON" };
        var report = new Option<string?>("--report") { Description = "write a page with plots (HTML)" };
        var command = new Command("measure", "Measure the DMA layer on the server, follow it and print its table") { fields, report, json, csv };
        command.SetAction(result =>
        {
            var request = (MeasureDmaRequest)FieldText.Message(MeasureDmaRequest.Descriptor, result.GetValue(fields) ?? []);
            return CtlCommand.Connected("measure", result.GetValue(server)!, result.GetValue(token), async channel =>
            {
                var (rows, ended) = await FollowAsync(channel, request, Console.Out).ConfigureAwait(false);
                if (result.GetValue(csv) is { } table)
                {
                    await File.WriteAllTextAsync(table, DmaTable.Csv(rows)).ConfigureAwait(false);
                }

                if (result.GetValue(report) is { } plots)
                {
                    await File.WriteAllTextAsync(plots, DmaPage.Create(rows)).ConfigureAwait(false);
                }

                if (result.GetValue(json) is { } page)
                {
                    await using var stream = File.Create(page);
                    DmaTable.WriteJson(stream, rows);
                }

                if (ended.Error != null)
                {
                    Console.Error.WriteLine($"vmm: measure: {(StatusCode)ended.Error.Code}: {ended.Error.Message} after {rows.Count} measurements");
                    return ended.Error.Code == (int)StatusCode.Cancelled ? ExitCode.Pass : ExitCode.ControlPlane;
                }

                return rows.Any(static r => r.Bad != 0) ? ExitCode.GuestFailed : ExitCode.Pass;
            });
        });
        return command;
    }

    /// <summary>Starts a measurement and writes its table until it has ended.</summary>
    internal static async Task<(List<MeasurementRow> Rows, Operation Ended)> FollowAsync(GrpcChannel channel, MeasureDmaRequest request, TextWriter output)
    {
        var operation = await Call<MeasureDmaRequest, Operation>(channel, MeasurementReflection.Descriptor, "MeasureDma", request).ConfigureAwait(false);
        Console.CancelKeyPress += Cancel;
        try
        {
            var rows = new List<MeasurementRow>();
            await output.WriteLineAsync(DmaTable.Heading).ConfigureAwait(false);
            for (var token = "";;)
            {
                var page = await Call<ListDmaRowsRequest, ListDmaRowsResponse>(
                    channel, MeasurementReflection.Descriptor, "ListDmaRows", new() { Operation = operation.Name, PageToken = token }).ConfigureAwait(false);
                foreach (var row in page.Rows.Select(DmaRowMessages.Read))
                {
                    rows.Add(row);
                    await output.WriteLineAsync(DmaTable.Line(row)).ConfigureAwait(false);
                }

                token = page.NextPageToken;
                if (token.Length == 0)
                {
                    return (rows, await Call<GetOperationRequest, Operation>(channel, OperationsReflection.Descriptor, "GetOperation", new() { Name = operation.Name }).ConfigureAwait(false));
                }

                operation = await Call<WaitOperationRequest, Operation>(
                    channel, OperationsReflection.Descriptor, "WaitOperation", new() { Name = operation.Name, Timeout = Duration.FromTimeSpan(LookTime) }).ConfigureAwait(false);
            }
        }
        finally
        {
            Console.CancelKeyPress -= Cancel;
        }

        void Cancel(object? sender, ConsoleCancelEventArgs pressed)
        {
            pressed.Cancel = true;
            _ = Call<CancelOperationRequest, Empty>(channel, OperationsReflection.Descriptor, "CancelOperation", new() { Name = operation.Name });
        }
    }

    static Task<TResponse> Call<TRequest, TResponse>(GrpcChannel channel, FileDescriptor file, string method, TRequest request)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>, new() => channel.UnaryAsync<TRequest, TResponse>(file.Services[0].FindMethodByName(method), request);
}
